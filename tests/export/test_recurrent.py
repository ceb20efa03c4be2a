"""Recurrent layers as one op each: PyTorch's values, their derivatives, and few nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from edgemeta.bundle import ADAPT
from edgemeta_export import export_bundle, recurrent
from edgemeta_export.recurrent import one_op_recurrence
from tests.zoo import Recurrent

STEPS, SAMPLES, INPUTS, HIDDEN = 4, 3, 2, 3


def normal(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def arguments(gates: int, states: int = 1) -> list[Tensor]:
    rows = gates * HIDDEN
    given = [normal(STEPS, SAMPLES, INPUTS), *[normal(SAMPLES, HIDDEN)] * states]
    weights = [normal(rows, INPUTS), normal(rows, HIDDEN), normal(rows), normal(rows)]
    return [tensor.clone().requires_grad_() for tensor in (*given, *weights)]


@pytest.mark.parametrize(
    ("function", "given"),
    [
        (recurrent.gru, arguments(3)),
        (recurrent.lstm, arguments(4, states=2)),
        (lambda *given: recurrent.rnn(*given, "tanh"), arguments(1)),
        (lambda *given: recurrent.rnn(*given, "relu"), arguments(1)),
    ],
    ids=["gru", "lstm", "rnn tanh", "rnn relu"],
)
def test_gradients_against_central_differences(
    function: Callable[..., Any], given: list[Tensor]
) -> None:
    assert torch.autograd.gradcheck(function, given)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_first": True},
        {"num_layers": 2, "bias": False},
        {"num_layers": 2, "bidirectional": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("started", [False, True])
def test_layers_compute_what_pytorch_computes(
    kind: Callable[..., nn.RNNBase], settings: dict[str, Any], started: bool
) -> None:
    layer = kind(INPUTS, HIDDEN, **settings).double()
    x = normal(STEPS, SAMPLES, INPUTS)
    rows = settings.get("num_layers", 1) * (2 if settings.get("bidirectional") else 1)
    samples = x.shape[0] if settings.get("batch_first") else x.shape[1]
    state = normal(rows, samples, HIDDEN)
    start = ((state, -state) if kind is nn.LSTM else state) if started else None
    want = pytree.tree_leaves(layer(x, start))
    with one_op_recurrence(layer):
        assert type(layer) is not kind
        got = pytree.tree_leaves(layer(x, start))
    assert type(layer) is kind
    assert len(got) == len(want)
    assert all(map(torch.allclose, got, want))


def test_what_has_no_op_keeps_its_own_way() -> None:
    class Own(nn.GRU):
        pass

    model = nn.ModuleList([nn.LSTM(3, 4, proj_size=2), Own(3, 4), nn.GRU(3, 4)])
    with one_op_recurrence(model):
        assert [type(m).__name__ for m in model] == ["LSTM", "Own", "_OneOpGRU"]


def test_a_step_of_time_costs_three_nodes(tmp_path: Path) -> None:
    """Taken apart by PyTorch, it was more than twenty."""
    counts = []
    for length in (10, 20):
        path = tmp_path / str(length)
        model = Recurrent(nn.GRU(3, 4, batch_first=True))
        export_bundle(model, path, torch.randn(5, length, 3), inner_lr=0.1, inner_steps=1)
        graph = ir.from_proto(onnx.load(path / ADAPT, load_external_data=False)).graph
        (loop,) = (node for node in graph if node.op_type == "Loop")
        counts.append(len(loop.attributes["body"].as_graph()))
    assert (counts[1] - counts[0]) / 10 <= 3
