"""Recurrent layers: forward onnxruntime's own, backward step by step.

The steps are written out: a Scan or a Loop takes up to twice the time. Their tensors are rows of a
matrix, cut by one Split, so that Gemm can add what comes from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgemeta_export import recurrent
from edgemeta_export.rules.registry import constant, op, rule

__all__ = ["back", "gru", "lstm", "lstm_back", "lstm_cells", "rnn"]

assert recurrent.gru  # noqa: S101  # importing it registers the ops below
ours = torch.ops.edgemeta

FIRST = 0


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


@rule(ours.back.default)
def back(grad: Any, factors: Any, weight: Any) -> Any:
    """Gradient of a hidden state from step to step: Concat, Mul and Gemm.

    Shapes: grad (T, N, H), factors (T, N, K * H), weight (K * H, H) -> (T, N, H).
    """
    copies = int(weight.shape[0]) // int(weight.shape[1])
    direct, by = _steps(grad), _steps(factors)
    made = [direct[-1]]
    for t in reversed(range(1, len(direct))):
        wide = op.Concat(*[made[-1]] * copies, axis=1) if copies > 1 else made[-1]
        made.append(op.Gemm(op.Mul(wide, by[t]), weight, direct[t - 1]))
    return _joined(made[::-1], grad)


@rule(ours.lstm_cells.default)
def lstm_cells(c0: Any, kept: Any, new: Any) -> Any:
    """Cell states of an LSTM from step to step: Mul and Add.

    Shapes: c0 (N, H), kept and new (T, N, H) -> (T, N, H).
    """
    made = [c0]
    for keep, more in zip(_steps(kept), _steps(new), strict=True):
        made.append(op.Add(op.Mul(keep, made[-1]), more))
    return _joined(made[1:], new)


@rule(ours.lstm_back.default)
def lstm_back(
    grad: Any, grad_cell: Any, factors: Any, into: Any, kept: Any, w_hh: Any
) -> tuple[Any, Any]:
    """Gradients of an LSTM's states from step to step: Mul, Add, Concat, Mul, Gemm and Mul.

    Shapes: grad, into and kept (T, N, H), grad_cell (N, H), factors (T, N, 4H), w_hh (4H, H) ->
    (T, N, 4H), (N, H).
    """
    direct, by, reached, keep = (_steps(tensor) for tensor in (grad, factors, into, kept))
    made: list[Any] = []
    at_cell = grad_cell
    for t in reversed(range(len(direct))):
        at_hidden = op.Gemm(made[-1], w_hh, direct[t]) if made else direct[t]
        at_cell = op.Add(at_cell, op.Mul(at_hidden, reached[t]))
        made.append(op.Mul(op.Concat(at_cell, at_cell, at_cell, at_hidden, axis=1), by[t]))
        at_cell = op.Mul(at_cell, keep[t])
    return _joined(made[::-1], factors), at_cell


def _steps(x: Any) -> list[Any]:
    """(T, N, M) -> T times (N, M): one Split of rows, where a Gather for each step costs more."""
    count, _, width = x.shape
    rows = op.Reshape(x, constant([-1, width]))
    return [rows] if count == 1 else list(op.Split(rows, num_outputs=int(count), axis=0))


def _joined(steps: Sequence[Any], like: Any) -> Any:
    """T times (N, M) -> (T, N, M), the shape of `like`."""
    count, _, width = like.shape
    rows = op.Concat(*steps, axis=0) if count > 1 else steps[0]
    return op.Reshape(rows, constant([count, -1, width]))


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
