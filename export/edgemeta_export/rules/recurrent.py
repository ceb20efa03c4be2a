"""Recurrent layers forward: onnxruntime's own, with the gates in ONNX's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgemeta_export import recurrent
from edgemeta_export.rules.registry import constant, op, rule

__all__ = ["gru", "lstm", "rnn", "steps"]

assert recurrent.gru  # noqa: S101  # importing it registers the ops below
ours = torch.ops.edgemeta

FIRST = 0


@rule(ours.steps.default)
def steps(x: Any) -> Any:
    """(T, N, M) -> T times (N, M): one Split of rows, where a Gather for each step costs more."""
    count, _, width = x.shape
    rows = op.Reshape(x, constant([-1, width]))
    if count == 1:
        return [op.Identity(rows)]
    return list(op.Split(rows, num_outputs=int(count), axis=0))


@rule(ours.gru.default)
def gru(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """Gated recurrent units; ONNX has the update gate first.

    Shapes: x (T, N, I), h0 (N, H), w_ih (3H, I), w_hh (3H, H), b_ih and b_hh (3H,) -> (T, N, H).
    """
    size = int(h0.shape[1])
    arguments = _arguments(x, h0, w_ih, w_hh, b_ih, b_hh, order=(1, 0, 2))
    hidden, _ = op.GRU(*arguments, hidden_size=size, linear_before_reset=1)
    return op.Squeeze(hidden, constant([1]))


@rule(ours.lstm.default)
def lstm(x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
    """Long short-term memory; ONNX has the output gate second.

    Shapes: as for `gru`, with c0 (N, H) and 4H gates -> (T, N, H), (N, H).
    """
    size = int(h0.shape[1])
    arguments = _arguments(x, h0, w_ih, w_hh, b_ih, b_hh, order=(0, 3, 1, 2))
    arguments.append(op.Unsqueeze(c0, constant([FIRST])))
    hidden, _, last = op.LSTM(*arguments, hidden_size=size)
    return op.Squeeze(hidden, constant([1])), op.Squeeze(last, constant([FIRST]))


@rule(ours.rnn.default)
def rnn(x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, activation: str) -> Any:
    """Elman's recurrence.

    Shapes: as for `gru`, with H gates -> (T, N, H).
    """
    size = int(h0.shape[1])
    arguments = _arguments(x, h0, w_ih, w_hh, b_ih, b_hh, order=(0,))
    hidden, _ = op.RNN(*arguments, hidden_size=size, activations=[activation.capitalize()])
    return op.Squeeze(hidden, constant([1]))


def _arguments(
    x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, order: Sequence[int]
) -> list[Any]:
    """Return X, W, R, B, no lengths, and the first hidden state, as all three ops take them."""
    size = int(h0.shape[1])
    rows = np.concatenate([np.arange(gate * size, (gate + 1) * size) for gate in order])
    if len(order) > 1:
        w_ih, w_hh, b_ih, b_hh = (op.Gather(w, constant(rows)) for w in (w_ih, w_hh, b_ih, b_hh))
    first = constant([FIRST])
    both = op.Concat(b_ih, b_hh, axis=0)
    weights = [op.Unsqueeze(w, first) for w in (w_ih, w_hh, both)]
    return [x, *weights, None, op.Unsqueeze(h0, first)]
