"""Convolutions on rows and on strips against PyTorch's own, in float64, for any geometry."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from edgemeta_export.layout import convolution as rows
from edgemeta_export.layout import strip as strips
from edgemeta_export.layout.strip import Frame, Strip
from edgemeta_export.layout.values import Filter, Grid, Image

CONV = {1: F.conv1d, 2: F.conv2d}
QUICK = settings(max_examples=60, deadline=None)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def close(got: Tensor, want: Tensor) -> bool:
    return got.shape == want.shape and torch.allclose(got, want, rtol=1e-10, atol=1e-10)


def shuffled(size: tuple[int, ...], seed: int) -> Grid:
    """Return a grid with its pixels in some order."""
    order = torch.randperm(math.prod(size), generator=torch.Generator().manual_seed(seed))
    return Grid(size, tuple(order.tolist()))


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, tuple[int, ...]]:
    axes = draw(st.integers(1, 2))
    each = st.integers
    kernel = tuple(draw(each(1, 4)) for _ in range(axes))
    dilation = tuple(draw(each(1, 2)) for _ in range(axes))
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    return {
        "kernel": kernel,
        "size": tuple(draw(each(r, r + 6)) for r in reach),
        "stride": tuple(draw(each(1, 3)) for _ in range(axes)),
        "padding": tuple(draw(each(0, k // 2)) for k in kernel),
        "dilation": dilation,
    }


@QUICK
@given(how=geometries(), samples=st.integers(1, 3), seed=st.integers(0, 99))
def test_rows_compute_any_convolution_and_its_gradients(
    how: dict[str, tuple[int, ...]], samples: int, seed: int
) -> None:
    size, kernel = how["size"], how["kernel"]
    x, w, b = normal(samples, 3, *size), normal(4, 3, *kernel, seed=1), normal(4, seed=2)
    leaves = [t.requires_grad_() for t in (x, w, b)]
    want = CONV[len(size)](x, w, b, how["stride"], how["padding"], how["dilation"])
    outer = normal(*want.shape, seed=3)
    dx, dw, _ = torch.autograd.grad(want, leaves, outer)

    grid, out = shuffled(size, seed), shuffled(tuple(want.shape[2:]), seed + 1)
    with torch.no_grad():
        geometry = rows.Geometry.of(
            grid, out, kernel, how["stride"], how["padding"], how["dilation"]
        )
        columns = geometry.columns(Image.of(x, grid))
        assert close(rows.convolve(columns, Filter.of(w), b, out).plain(), want)
        grad = Image.of(outer, out)
        assert close(rows.weight_gradient(columns, grad, w.shape).plain(), dw)
        assert close(rows.input_gradient(grad, Filter.of(w), geometry, grid).plain(), dx)


@QUICK
@given(
    size=st.lists(st.integers(1, 12), min_size=1, max_size=2).map(tuple),
    reach=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    samples=st.integers(1, 3),
)
def test_strips_compute_any_depthwise_convolution_and_its_gradients(
    size: tuple[int, ...], reach: tuple[int, int], samples: int
) -> None:
    """Shorter axes of more than `BANDED` pixels take the other of the two ways."""
    padding = reach[: len(size)]
    x, b = normal(samples, 4, *size), normal(4, seed=2)
    w = normal(4, 1, *(2 * p + 1 for p in padding), seed=1)
    leaves = [t.requires_grad_() for t in (x, w, b)]
    want = CONV[len(size)](x, w, b, 1, padding, 1, 4)
    outer = normal(*want.shape, seed=3)
    dx, dw, db = torch.autograd.grad(want, leaves, outer)

    frame = Frame(size, Frame(size, 0).oriented(padding)[1])
    with torch.no_grad():
        image, grad = Strip.of(x, frame), Strip.of(outer, frame)
        made = strips.depthwise(image, w, b)
        assert close(made.plain(), want)
        assert not made.clean
        assert close(made.cleaned().rows, Strip.of(want, frame).rows)
        found = strips.depthwise_gradients(grad, image, w, [True, True, True])
        assert found[0] is not None
        assert close(found[0].plain(), dx)
        assert found[1] is not None
        assert close(found[1], dw)
        assert found[2] is not None
        assert close(found[2], db)


def test_what_is_not_wanted_is_not_made() -> None:
    frame = Frame((5, 4), 1)
    grad, w = Strip.of(normal(2, 4, 5, 4), frame), normal(4, 1, 3, 3)
    assert strips.depthwise_gradients(grad, grad, w, [False] * 3) == (None, None, None)
    assert strips.mix_gradients(grad, grad, normal(4, 4, 1, 1), [False] * 3) == (None, None, None)


@QUICK
@given(size=st.lists(st.integers(1, 5), min_size=1, max_size=2).map(tuple), seed=st.integers(0, 99))
def test_every_layout_gives_the_tensor_back(size: tuple[int, ...], seed: int) -> None:
    x = normal(2, 3, *size)
    assert torch.equal(Image.of(x, shuffled(size, seed)).plain(), x)
    assert torch.equal(Strip.of(x, Frame(size, seed % 3)).plain(), x)
    w = normal(4, 3, *size)
    assert torch.equal(Filter.of(w).plain(), w)
