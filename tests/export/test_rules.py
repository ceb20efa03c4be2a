"""Each rule alone: what it computes on onnxruntime, against the op in PyTorch.

One op, one rule, one row: a rule without sample inputs fails collection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgemeta_export.lower import lower
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import constant, op
from edgemeta_export.rules.windows import Windows
from edgemeta_export.trace import trace

aten = torch.ops.aten

# float32 sums of at most a few hundred products of values around 1; largest seen 8e-6.
ATOL = 3e-5

Row = tuple[Callable[..., Any], tuple[Tensor, ...]]


def normal(*shape: int) -> Tensor:
    """Return fixed values: a row's inputs must not depend on which rows ran before."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))


def conv_backward(axes: int, groups: int, transposed: bool = False, **given: Any) -> Row:
    """Gradients of a convolution of 3 samples with 4 input and 6 output channels."""
    plain = {"stride": [1] * axes, "padding": [1] * axes, "dilation": [1] * axes}
    how = plain | given | {"transposed": transposed, "output_padding": [0] * axes, "groups": groups}
    image = normal(3, 4, *(9, 8, 5)[:axes])
    kernel = (3, 2, 3)[:axes]
    shape = (4, 6 // groups, *kernel) if transposed else (6, 4 // groups, *kernel)
    weight = normal(*shape)
    with torch.no_grad():
        out = aten.convolution.default(image, weight, None, **how)
    settings = (*how.values(), [True, True, True])

    def backward(grad: Tensor, image: Tensor, weight: Tensor) -> Any:
        return aten.convolution_backward.default(grad, image, weight, [6], *settings)

    return backward, (normal(*out.shape), image, weight)


def max_pool_backward(
    kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> Row:
    """Gradient of max-pooling of 3 samples, with ties."""
    image = normal(3, 2, 7, 8).round(decimals=0)
    how = ([kernel] * 2, [stride] * 2, [padding] * 2, [dilation] * 2, ceil_mode)
    out, _ = aten.max_pool2d_with_indices.default(image, *how)

    def backward(grad: Tensor, image: Tensor) -> Any:
        _, indices = aten.max_pool2d_with_indices.default(image, *how)
        return aten.max_pool2d_with_indices_backward.default(grad, image, *how, indices)

    return backward, (normal(*out.shape), image)


def max_pool3d_backward() -> Row:
    """Gradient of max-pooling over three axes."""
    image = normal(3, 2, 4, 6, 4)
    how = ([2] * 3, [2] * 3, [0] * 3, [1] * 3, False)

    def backward(grad: Tensor, image: Tensor) -> Any:
        _, indices = aten.max_pool3d_with_indices.default(image, *how)
        return aten.max_pool3d_with_indices_backward.default(grad, image, *how, indices)

    return backward, (normal(3, 2, 2, 3, 2), image)


CLASS_WEIGHT = torch.tensor([1.0, 2.0, 0.5, 3.0])


def nll(reduction: int, ignore_index: int = -100, *weight: Tensor) -> Row:
    """Negative log likelihood of 5 samples in 4 classes."""
    target = torch.tensor([0, 3, 1, 2, 2])

    def forward(log_probs: Tensor, target: Tensor, weight: Tensor | None = None) -> Any:
        found = aten.nll_loss_forward.default(log_probs, target, weight, reduction, ignore_index)
        return found if reduction else found[0]  # without reduction PyTorch counts no total

    return forward, (normal(5, 4), target, *weight)


def nll_backward(reduction: int, ignore_index: int = -100, *weight: Tensor) -> Row:
    """Gradient of `nll`."""
    target = torch.tensor([0, 3, 1, 2, 2])
    grad = normal(5) if reduction == 0 else torch.tensor(0.7)

    def backward(
        log_probs: Tensor, target: Tensor, grad: Tensor, weight: Tensor | None = None
    ) -> Any:
        how = (target, weight, reduction, ignore_index)
        _, total = aten.nll_loss_forward.default(log_probs, *how)
        return aten.nll_loss_backward.default(grad, log_probs, *how, total)

    return backward, (normal(5, 4), target, grad, *weight)


def scaled_by_batch(target: Callable[..., Any]) -> Row:
    """A scalar computed from the number of samples, as in the gradient of a mean."""
    return lambda x: target(x, 1.0 / x.shape[0]), (normal(5, 3),)


ROWS: dict[Callable[..., Any], Sequence[Row]] = {
    aten.convolution_backward.default: [
        conv_backward(1, 1),
        conv_backward(2, 1),
        conv_backward(3, 1),
        conv_backward(2, 1, stride=[2, 2]),
        conv_backward(2, 1, stride=[2, 3], padding=[0, 1]),
        conv_backward(2, 2),
        conv_backward(2, 2, dilation=[2, 1]),
        conv_backward(2, 2, transposed=True, stride=[2, 2]),
        conv_backward(1, 1, transposed=True),
    ],
    aten.max_pool2d_with_indices_backward.default: [
        max_pool_backward(2, 2),
        max_pool_backward(3, 2),
        max_pool_backward(3, 2, padding=1),
        max_pool_backward(2, 1, dilation=2),
        max_pool_backward(3, 2, ceil_mode=True),
    ],
    aten.max_pool3d_with_indices_backward.default: [max_pool3d_backward()],
    aten.threshold_backward.default: [
        (lambda g, x: aten.threshold_backward.default(g, x, 0.25), (normal(4, 3), normal(4, 3)))
    ],
    aten.nll_loss_forward.default: [
        nll(0),
        nll(1),
        nll(2),
        nll(1, ignore_index=2),
        nll(1, -100, CLASS_WEIGHT),
    ],
    aten.nll_loss_backward.default: [
        nll_backward(0),
        nll_backward(1),
        nll_backward(2),
        nll_backward(1, ignore_index=2),
        nll_backward(1, -100, CLASS_WEIGHT),
    ],
    aten.mul.Scalar: [scaled_by_batch(aten.mul.Scalar)],
    aten.div.Scalar: [scaled_by_batch(aten.div.Scalar)],
}
if set(ROWS) != set(RULES):
    odd = set(ROWS) ^ set(RULES)
    raise AssertionError(f"each rule needs a row, and each row a rule: {sorted(map(str, odd))}")

EVERY_ROW = [
    pytest.param(target, row, id=f"{target}-{number}")
    for target, rows in ROWS.items()
    for number, row in enumerate(rows)
]


def largest_difference(row: Row) -> float:
    """Lower a row, run it, and return how far it is from PyTorch, relative to values around 1."""
    function, arguments = row
    want = function(*arguments)
    want = list(want) if isinstance(want, tuple) else [want]
    names = [f"output{k}" for k in range(len(want))]

    def named(*arguments: Tensor) -> dict[str, Tensor]:
        found = function(*arguments)
        return dict(zip(names, found if isinstance(found, tuple) else (found,), strict=True))

    inputs = [f"input{k}" for k in range(len(arguments))]
    # The first argument counts samples; no weight of the rows above is as long as a batch.
    batched = [a.ndim > 0 and len(a) == len(arguments[0]) for a in arguments]
    model = lower(trace(named, arguments, batched), inputs, names)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    got = session.run(names, {name: a.numpy() for name, a in zip(inputs, arguments, strict=True)})
    return max(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, want, strict=True))


@pytest.mark.parametrize(("target", "row"), EVERY_ROW)
def test_rule_computes_what_pytorch_computes(target: Callable[..., Any], row: Row) -> None:
    assert largest_difference(row) <= ATOL


@pytest.mark.parametrize("target", list(RULES), ids=str)
def test_a_rule_times_1_001_turns_its_row_red(
    target: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = RULES[target]

    def bend(value: Any) -> Any:
        return op.Mul(value, constant(1.001, np.float32))

    def wrong(*args: Any, **settings: Any) -> Any:
        found = right(*args, **settings)
        return tuple(map(bend, found)) if isinstance(found, tuple) else bend(found)

    monkeypatch.setitem(RULES, target, wrong)
    assert largest_difference(ROWS[target][0]) > ATOL


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
    windows = Windows.make((size,), (out,), [kernel], [stride], [padding], [dilation])
    index, inverse = windows.index(), windows.inverse()
    for pixel in range(size):
        readers = sorted(entry for entry in inverse[:, pixel] if entry < index.size)
        assert readers == np.flatnonzero(index.ravel() == pixel).tolist()
