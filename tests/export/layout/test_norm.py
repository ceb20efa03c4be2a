"""Batch norm on rows against PyTorch's own, in float64; also where it waits for the pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgemeta_export.layout import norm as norms
from edgemeta_export.layout.convolution import Geometry
from edgemeta_export.layout.norm import LateGradient, LateNorm, StillProduct
from edgemeta_export.layout.pool_windows import PoolWindows, pool
from edgemeta_export.layout.values import Filter, Grid, Image
from tests.export.layout.test_convolution import close, normal, shuffled

EPS = 1e-5
WEIGHT = torch.tensor([1.5, -0.5, 1e-3, -2.0], dtype=torch.float64)


def leaves(weight: Tensor | None, size: tuple[int, int]) -> list[Tensor]:
    x = normal(3, 4, *size) * 2 + 5
    affine = [] if weight is None else [weight.clone(), normal(4, seed=1)]
    return [t.requires_grad_() for t in (x, *affine)]


def batch_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, True, 0.0, EPS)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_batch_norm_and_its_gradients(weight: Tensor | None) -> None:
    inputs = leaves(weight, (3, 2))
    want = batch_norm(*inputs)
    outer = normal(*want.shape, seed=2)
    wanted = torch.autograd.grad(want, inputs, outer)
    grid = shuffled((3, 2), 0)
    with torch.no_grad():
        x, (_, *affine) = Image.of(inputs[0], grid), (*inputs, None, None)
        made, mean, rstd = norms.batch_norm(x, affine[0], affine[1], EPS)
        assert close(made.plain(), want)
        assert close(mean, inputs[0].mean((0, 2, 3)))
        found = norms.batch_norm_backward(Image.of(outer, grid), x, affine[0], rstd, EPS)
        assert close(found[0].plain(), wanted[0])
        for got, expected in zip(found[1:], wanted[1:], strict=False):
            assert close(got, expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("size", [(4, 6), (5, 5)])
def test_a_norm_behind_the_pooling_is_the_same(
    weight: Tensor | None, size: tuple[int, int]
) -> None:
    """Negative weights make the largest pixel the smallest; odd sizes leave pixels over."""
    inputs = leaves(weight, size)
    want = F.max_pool2d(batch_norm(*inputs), 2)
    outer = normal(*want.shape, seed=2)
    wanted = torch.autograd.grad(want, inputs, outer)
    windows = PoolWindows(size, (size[0] // 2, size[1] // 2), (2, 2))
    out = Grid.natural(windows.out)
    kept = windows.order(out).tolist()
    grid = Grid(size, (*kept, *sorted(set(range(windows.pixels)) - set(kept))))
    with torch.no_grad():
        x, (_, *affine) = Image.of(inputs[0], grid), (*inputs, None, None)
        late, mean, rstd = LateNorm.of(x, affine[0], affine[1], EPS)
        assert close(mean, inputs[0].mean((0, 2, 3)))
        assert close(late.plain(), batch_norm(*inputs))
        assert close(late.finish(pool(late.signed, windows, out)).plain(), want)
        gradient = LateGradient(Image.of(outer, out), late, windows)
        found = gradient.gradients(rstd)
        assert close(found[0].plain(), wanted[0])
        assert close(found[0].image().plain(), wanted[0])
        for got, expected in zip(found[1:], wanted[1:], strict=False):
            assert close(got, expected)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("bias", [None, torch.ones(4, dtype=torch.float64)])
def test_moments_of_a_product_come_from_its_columns(
    weight: Tensor | None, bias: Tensor | None
) -> None:
    """The output of the convolution is not looked at; its filters get the same gradient."""
    x, filters = normal(3, 2, 4, 4) + 3, normal(4, 2, 3, 3, seed=1).requires_grad_()
    affine = [] if weight is None else [weight, normal(4, seed=2)]
    made = F.conv2d(x, filters, bias, padding=1)
    want = F.max_pool2d(batch_norm(made, *affine), 2)
    outer = normal(*want.shape, seed=3)
    (dw,) = torch.autograd.grad(want, filters, outer)
    windows, out = PoolWindows((4, 4), (2, 2), (2, 2)), Grid.natural((2, 2))
    grid = Grid((4, 4), tuple(windows.order(out).tolist()))
    with torch.no_grad():
        geometry = Geometry.of(Grid.natural((4, 4)), grid, (3, 3), (1, 1), (1, 1), (1, 1))
        columns = geometry.columns(Image.of(x, Grid.natural((4, 4))))
        product = StillProduct(columns, Filter.of(filters), bias, grid)
        norm_weight, norm_bias, *_ = (*affine, None, None)
        unread = Image.of(torch.full_like(made, torch.nan), grid)
        late, mean, rstd = LateNorm.of(unread, norm_weight, norm_bias, EPS, product)
        assert close(mean, made.mean((0, 2, 3)))
        assert close(rstd, (made.var((0, 2, 3), correction=0) + EPS).rsqrt())
        assert close(late.finish(pool(late.signed, windows, out)).plain(), want)
        gradient, _, _ = LateGradient(Image.of(outer, out), late, windows).gradients(rstd)
        assert close(gradient.weights(product).plain(), dw)


def test_a_weight_of_zero_learns() -> None:
    """Its sign is taken as positive: the largest pixel counts."""
    weight = torch.zeros(4, dtype=torch.float64)
    grid = Grid((2, 2), (0, 2, 1, 3))
    windows = PoolWindows((2, 2), (1, 1), (2, 2))
    x = Image.of(normal(3, 4, 2, 2), grid)
    late, _, rstd = LateNorm.of(x, weight, weight, EPS)
    grad = Image(torch.ones(3, 1, 4, dtype=torch.float64), Grid.natural((1, 1)))
    _, along, _ = LateGradient(grad, late, windows).gradients(rstd)
    assert (along > 0).all()
