"""Each rule alone: what it computes on onnxruntime, against the op in PyTorch.

One op, one rule, one row: a rule without sample inputs fails collection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta_export import recurrent
from edgemeta_export.inline import inline_graphs
from edgemeta_export.lower import lower
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import constant, op
from edgemeta_export.rules.windows import Windows
from edgemeta_export.trace import trace
from tests.onnx_files import loudest, perceptron

aten, ours = torch.ops.aten, torch.ops.edgemeta

# Relative to a tensor's largest value, or to 1: float32 sums of at most a thousand products, in
# another order. Largest seen 2e-6.
LIMIT = 1e-5


MASKED = torch.tensor([[0.5, -torch.inf, 1.0], [-torch.inf] * 3])


@dataclass(frozen=True)
class Row:
    """Sample inputs of a rule.

    Attributes:
        function: what is lowered and run; using it must bring the rule in.
        arguments: its inputs, samples along axis 0 of the first.
        forward: for a gradient: what it is the gradient of.
        inputs: how many leading arguments after the first, the outer gradient, it is taken for.
    """

    function: Callable[..., Any]
    arguments: tuple[Tensor, ...]
    forward: Callable[..., Tensor] | None = None
    inputs: int = 0


def normal(*shape: int) -> Tensor:
    """Return fixed values: a row's inputs must not depend on which rows ran before."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))


def gradient(forward: Callable[..., Tensor], *arguments: Tensor, inputs: int | None = None) -> Row:
    """The gradient of a function with respect to its first `inputs` arguments (or all)."""
    count = len(arguments) if inputs is None else inputs
    with torch.no_grad():
        outer = normal(*forward(*arguments).shape)

    def backward(outer: Tensor, *arguments: Tensor) -> tuple[Tensor, ...]:
        leaves = [argument.detach().requires_grad_() for argument in arguments[:count]]
        return torch.autograd.grad(forward(*leaves, *arguments[count:]), leaves, outer)

    return Row(backward, (outer, *arguments), forward, count)


def conv(axes: int, groups: int = 1, **given: Any) -> Row:
    """Gradients of a convolution of 3 samples with 4 input and 6 output channels."""
    function = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    image, kernel = normal(3, 4, *(9, 8, 5)[:axes]), (3, 2, 3)[:axes]
    how = {"padding": 1} | given | {"groups": groups}
    return gradient(
        lambda x, w, b: function(x, w, b, **how), image, normal(6, 4 // groups, *kernel), normal(6)
    )


def transposed(axes: int, groups: int = 1, **given: Any) -> Row:
    """Gradients of a transposed convolution."""
    function = (F.conv_transpose1d, F.conv_transpose2d)[axes - 1]
    image, kernel = normal(3, 4, *(9, 8)[:axes]), (3, 2)[:axes]
    how = {"padding": 1} | given | {"groups": groups}
    return gradient(
        lambda x, w, b: function(x, w, b, **how), image, normal(4, 6 // groups, *kernel), normal(6)
    )


def pool(function: Callable[..., Tensor], size: tuple[int, ...], *how: Any, **more: Any) -> Row:
    """Gradient of a pooling of 3 samples with 2 channels."""
    return gradient(lambda x: function(x, *how, **more), normal(3, 2, *size))


def tied(function: Callable[..., Tensor], *how: Any) -> Row:
    """Gradient of a max-pooling whose windows hold equal values: the first one counts."""
    row = gradient(lambda x: function(x, *how), normal(3, 2, 7, 8).round(decimals=0))
    return replace(row, forward=None)  # there is no derivative to compare with


TARGET = torch.tensor([0, 3, 1, 2, 2])
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 0.5, 3.0])


def nll(reduction: int, ignore_index: int = -100, *weight: Tensor) -> Row:
    """Negative log likelihood of 5 samples in 4 classes."""

    def forward(log_probs: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
        found = aten.nll_loss_forward.default(log_probs, target, weight, reduction, ignore_index)
        return found if reduction else found[0]  # without reduction PyTorch counts no total

    return Row(forward, (normal(5, 4), TARGET, *weight))


def nll_backward(reduction: str, ignore_index: int = -100, *weight: Tensor) -> Row:
    """Gradient of `nll`."""

    def forward(log_probs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        weight = None if weight is None else weight.to(log_probs.dtype)
        return F.nll_loss(log_probs, target, weight, ignore_index=ignore_index, reduction=reduction)

    row = gradient(forward, normal(5, 4), TARGET, *weight, inputs=1)
    if row.arguments[0].ndim:
        return row
    # The outer gradient is a scalar here; the samples have to come first.
    outer, first, *others = row.arguments
    return replace(
        row,
        function=lambda first, outer, *others: row.function(outer, first, *others),
        arguments=(first, outer, *others),
        forward=None,
    )


def scaled_by_batch(target: Callable[..., Any]) -> Row:
    """A scalar computed from the number of samples, as in the gradient of a mean."""
    return Row(lambda x: target(x, 1.0 / x.shape[0]), (normal(5, 3),))


def layer(function: Callable[..., Any], gates: int, *how: Any, cell: bool = False) -> Row:
    """A recurrent layer over 4 steps of 3 samples with 2 numbers, with 5 hidden units."""
    states = [normal(3, 5)] * (2 if cell else 1)
    rows = gates * 5
    weights = [normal(rows, 2), normal(rows, 5), normal(rows), normal(rows)]

    def run(first: Tensor, *others: Tensor) -> Any:
        x, *weights = others
        return function(x, first, *weights, *how)

    def run_with_cell(first: Tensor, cell: Tensor, *others: Tensor) -> Any:
        x, *weights = others
        return function(x, first, cell, *weights)

    # The samples have to come first, and time comes first in x.
    return Row(run_with_cell if cell else run, (*states, normal(4, 3, 2), *weights))


def over_time(
    function: Callable[..., Any],
    steps: int,
    widths: Sequence[int],
    *weights: Tensor,
    states: int = 0,
) -> Row:
    """What goes from step to step: states of 3 samples, then sequences of them, then weights."""
    sequences = [normal(3, steps, width) for width in widths]

    def run(*given: Tensor) -> Any:
        # The samples come first in what is given, time comes first in the op.
        turned = [a.transpose(0, 1) for a in given[states : states + len(widths)]]
        return function(*given[:states], *turned, *given[states + len(widths) :])

    return Row(run, (*[normal(3, 5)] * states, *sequences, *weights))


PERCEPTRON = OnnxModule(perceptron())
EACH_ALONE = OnnxModule(loudest(), per_sample=True)


def _lstm_back(cell: Tensor, grad: Tensor, *others: Tensor) -> Any:
    return recurrent.lstm_back(grad, cell, *others)


ROWS: dict[Callable[..., Any], Sequence[Row]] = {
    aten.convolution_backward.default: [
        conv(1),
        conv(2),
        conv(3),
        conv(2, stride=2),
        conv(2, stride=(2, 3), padding=(0, 1)),
        conv(2, 2),
        conv(2, 2, dilation=(2, 1)),
        transposed(2, 2, stride=2),
        transposed(2, stride=2, output_padding=1),
        transposed(1),
    ],
    aten.max_pool2d_with_indices_backward.default: [
        pool(F.max_pool2d, (7, 8), 2, 2),
        pool(F.max_pool2d, (7, 8), 3, 2),
        pool(F.max_pool2d, (7, 8), 3, 2, 1),
        pool(F.max_pool2d, (7, 8), 2, 1, 0, 2),
        pool(F.max_pool2d, (7, 8), 3, 2, ceil_mode=True),
        tied(F.max_pool2d, 2, 2),
        tied(F.max_pool2d, 3, 2, 1),
    ],
    ours.onnx_graph.default: [
        Row(PERCEPTRON, (normal(5, 6),)),
        Row(EACH_ALONE, (normal(5, 6),)),
    ],
    aten.max_pool3d_with_indices_backward.default: [pool(F.max_pool3d, (4, 6, 4), 2)],
    aten.avg_pool2d_backward.default: [
        pool(F.avg_pool2d, (7, 8), 2),
        pool(F.avg_pool2d, (7, 8), 3, 2, 1),
        pool(F.avg_pool2d, (7, 8), (3, 2), 2, (1, 0), ceil_mode=True),
        pool(F.avg_pool2d, (7, 8), 3, 2, 1, ceil_mode=True, count_include_pad=False),
        pool(F.avg_pool2d, (7, 8), 2, divisor_override=3),
    ],
    aten.avg_pool3d_backward.default: [pool(F.avg_pool3d, (4, 6, 4), 2, 2, 1)],
    aten._adaptive_avg_pool2d_backward.default: [
        pool(F.adaptive_avg_pool2d, (7, 8), (3, 5)),
        pool(F.adaptive_avg_pool2d, (4, 4), (2, 2)),
    ],
    aten._adaptive_avg_pool3d_backward.default: [pool(F.adaptive_avg_pool3d, (4, 5, 3), (2, 3, 2))],
    aten.adaptive_max_pool2d.default: [
        Row(lambda x: aten.adaptive_max_pool2d.default(x, [3, 5]), (normal(3, 2, 7, 8),))
    ],
    aten.adaptive_max_pool3d.default: [
        Row(lambda x: aten.adaptive_max_pool3d.default(x, [2, 3, 2]), (normal(3, 2, 4, 5, 3),))
    ],
    aten.adaptive_max_pool2d_backward.default: [
        pool(F.adaptive_max_pool2d, (7, 8), (3, 5)),
        tied(F.adaptive_max_pool2d, (3, 5)),
    ],
    aten.adaptive_max_pool3d_backward.default: [pool(F.adaptive_max_pool3d, (4, 5, 3), (2, 3, 2))],
    aten.threshold_backward.default: [
        gradient(lambda x: F.threshold(x, 0.25, 0.0), normal(4, 3)),
    ],
    aten.leaky_relu_backward.default: [
        gradient(lambda x: F.leaky_relu(x, 0.1), normal(4, 3)),
        gradient(lambda x: F.leaky_relu(x, 1.5), normal(4, 3)),
        gradient(lambda x: F.leaky_relu(x, -0.5), normal(4, 3)),
    ],
    aten.hardtanh_backward.default: [
        gradient(lambda x: F.hardtanh(x, 0.0, 0.5), normal(4, 3)),
        gradient(lambda x: F.hardtanh(x, -0.5, 0.25), normal(4, 3)),
    ],
    aten._safe_softmax.default: [
        Row(lambda x: aten._safe_softmax.default(x, -1), (MASKED,)),
        Row(lambda x: aten._safe_softmax.default(x, 1), (normal(4, 3, 2),)),
    ],
    aten.nll_loss_forward.default: [
        nll(0),
        nll(1),
        nll(2),
        nll(1, 2),
        nll(1, -100, CLASS_WEIGHT),
    ],
    aten.nll_loss_backward.default: [
        nll_backward("none"),
        nll_backward("none", 2, CLASS_WEIGHT),
        nll_backward("mean"),
        nll_backward("sum"),
        nll_backward("mean", 2),
        nll_backward("mean", -100, CLASS_WEIGHT),
    ],
    aten.index_select.default: [
        Row(lambda x: x.index_select(1, torch.tensor([2, 0, 2])), (normal(5, 3),)),
        Row(lambda x: x.index_select(0, torch.tensor([1], dtype=torch.int32)), (normal(5, 3),)),
    ],
    ours.back.default: [
        over_time(recurrent.back, 4, (5, 15), normal(15, 5)),
        over_time(recurrent.back, 4, (5, 5), normal(5, 5)),
        over_time(recurrent.back, 1, (5, 15), normal(15, 5)),
    ],
    ours.lstm_cells.default: [
        over_time(recurrent.lstm_cells, 4, (5, 5), states=1),
        over_time(recurrent.lstm_cells, 1, (5, 5), states=1),
    ],
    ours.lstm_back.default: [
        over_time(_lstm_back, 4, (5, 20, 5, 5), normal(20, 5), states=1),
        over_time(_lstm_back, 1, (5, 20, 5, 5), normal(20, 5), states=1),
    ],
    ours.gru.default: [layer(recurrent.gru, 3)],
    ours.lstm.default: [layer(recurrent.lstm, 4, cell=True)],
    ours.rnn.default: [layer(recurrent.rnn, 1, "tanh"), layer(recurrent.rnn, 1, "relu")],
    aten.mul.Scalar: [scaled_by_batch(aten.mul.Scalar)],
    aten.div.Scalar: [scaled_by_batch(aten.div.Scalar)],
    aten.mv.default: [
        Row(lambda x, y: x @ y, (normal(5, 3), normal(3))),
        Row(lambda x, y: x.T @ y, (normal(50, 3), normal(50))),
    ],
    aten.sym_numel.default: [Row(lambda x: x * x.numel(), (normal(50, 40),))],
}
if set(ROWS) != set(RULES):
    odd = set(ROWS) ^ set(RULES)
    raise AssertionError(f"each rule needs a row, and each row a rule: {sorted(map(str, odd))}")

EVERY_ROW = [
    pytest.param(target, row, id=f"{target}-{number}")
    for target, rows in ROWS.items()
    for number, row in enumerate(rows)
]


def run(row: Row, layout: bool = False) -> list[NDArray[np.float32]]:
    """Lower a row and run it on onnxruntime; laid out, the ops of `layout` come first."""
    want = as_list(row.function(*row.arguments))
    names = [f"output{k}" for k in range(len(want))]

    def named(*arguments: Tensor) -> dict[str, Tensor]:
        return dict(zip(names, as_list(row.function(*arguments)), strict=True))

    inputs = [f"input{k}" for k in range(len(row.arguments))]
    # The first argument counts samples; no weight of the rows above is as long as a batch.
    batched = [a.ndim > 0 and len(a) == len(row.arguments[0]) for a in row.arguments]
    model = lower(trace(named, row.arguments, batched, layout=layout), inputs, names)
    inline_graphs(model, {})
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    found = session.run(
        names, {name: a.numpy() for name, a in zip(inputs, row.arguments, strict=True)}
    )
    return [np.asarray(array) for array in found]


def as_list(found: Any) -> list[Tensor]:
    return list(found) if isinstance(found, tuple | list) else [found]


def largest_difference(row: Row, layout: bool = False) -> float:
    """Return how far onnxruntime is from PyTorch, relative to each tensor's largest value."""
    wanted = [tensor.detach().numpy() for tensor in as_list(row.function(*row.arguments))]
    return max(
        float(np.abs(got - want).max() / max(1, np.abs(want).max()))
        for got, want in zip(run(row, layout), wanted, strict=True)
    )


@pytest.mark.parametrize("layout", [False, True], ids=["plain", "laid out"])
@pytest.mark.parametrize(("target", "row"), EVERY_ROW)
def test_rule_computes_what_pytorch_computes(
    target: Callable[..., Any], row: Row, layout: bool
) -> None:
    assert largest_difference(row, layout) <= LIMIT


@pytest.mark.parametrize("target", list(RULES), ids=str)
def test_a_rule_times_1_001_turns_its_row_red(
    target: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RULES[target]

    def bend(value: Any) -> Any:
        as_float = op.Cast(value, to=1)  # an integer 1.001 would be 1
        return op.CastLike(op.Mul(as_float, constant(1.001, np.float32)), value)

    def wrong(*args: Any, **settings: Any) -> Any:
        found = right(*args, **settings)
        return type(found)(map(bend, found)) if isinstance(found, tuple | list) else bend(found)

    monkeypatch.setitem(RULES, target, wrong)
    assert largest_difference(ROWS[target][0]) > LIMIT


@pytest.mark.parametrize(
    ("target", "row"),
    [p for p in EVERY_ROW if p.values[1].forward is not None],  # type: ignore[union-attr]
)
def test_rule_is_the_derivative_in_float64(target: Callable[..., Any], row: Row) -> None:
    """Along random directions, against central differences of the forward function."""
    assert row.forward is not None
    outer, *arguments = (a.double() if a.is_floating_point() else a for a in row.arguments)
    inputs, fixed = arguments[: row.inputs], arguments[row.inputs :]
    got = [torch.from_numpy(array).double() for array in run(row)]
    generator = torch.Generator().manual_seed(0)
    step = 1e-6  # far from any kink of the rows, and from float64's rounding
    for _ in range(5):
        along = [torch.randn(a.shape, generator=generator, dtype=torch.float64) for a in inputs]
        ahead, behind = (
            (row.forward(*(a + s * d for a, d in zip(inputs, along, strict=True)), *fixed) * outer)
            .sum()
            .item()
            for s in (step, -step)
        )
        slope = sum((g * d).sum().item() for g, d in zip(got, along, strict=True))
        scale = sum((g * d).abs().sum().item() for g, d in zip(got, along, strict=True))
        assert abs((ahead - behind) / (2 * step) - slope) <= 1e-5 * scale  # float32 in the rule


@given(
    size=st.integers(3, 9),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 1),
    dilation=st.integers(1, 2),
)
@settings(max_examples=50, deadline=None)
def test_inverse_lists_every_reader_of_every_pixel_once(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if out < 1:
        return
    windows = Windows.sliding((size,), (out,), [kernel], [stride], [padding], [dilation])
    index, inverse = windows.index, windows.inverse()
    for pixel in range(size):
        readers = sorted(entry for entry in inverse[:, pixel] if entry < index.size)
        assert readers == np.flatnonzero(index.ravel() == pixel).tolist()
