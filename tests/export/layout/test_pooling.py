"""Max pooling as maxima of parts: PyTorch's values, and its choice among equal pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from edgemeta_export.aten_passes import sink_relu
from edgemeta_export.layout.components import CONVOLUTION, MAX_POOL, Components
from edgemeta_export.layout.pool_windows import PoolWindows, pool, unpool
from edgemeta_export.layout.values import Grid, Image

aten = torch.ops.aten


def traced(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> GraphModule:
    """Record a function of images and its gradient."""

    def both(*tensors: Tensor) -> tuple[Tensor, ...]:
        leaves = [t.detach().requires_grad_() for t in tensors]
        made = function(*leaves)
        return made.detach(), *torch.autograd.grad(made.square().sum(), leaves)

    return make_fx(both)(*(torch.randn(shape) for shape in shapes))


def find(module: GraphModule, target: Callable[..., object]) -> Node:
    found: list[Node] = module.graph.find_nodes(op="call_function", target=target)
    (node,) = found
    return node


@pytest.mark.parametrize("kernel", [(2, 2), (4, 2), (1, 8), (3, 3), (1, 1)])
@pytest.mark.parametrize("size", [(8, 8), (9, 11)])
def test_pooling_and_its_gradient_with_ties(size: tuple[int, int], kernel: tuple[int, int]) -> None:
    """Rounded values: most windows hold their maximum twice, and the first one counts."""
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).round()
    x.requires_grad_()
    want = F.max_pool2d(x, kernel)
    outer = torch.randn(want.shape)
    (dx,) = torch.autograd.grad(want, x, outer)
    node = find(traced(lambda x: F.max_pool2d(x, kernel), tuple(x.shape)), MAX_POOL)
    windows = PoolWindows.of(node)
    assert windows is not None
    out = Grid.natural(want.shape[2:])
    order = windows.order(out)
    rest = sorted(set(range(windows.pixels)) - set(order.tolist()))
    with torch.no_grad():
        image = Image.of(x, Grid(size, (*order.tolist(), *rest)))
        assert torch.equal(pool(image, windows, out).plain(), want)
        assert torch.equal(unpool(Image.of(outer, out), image, windows).plain(), dx)


@pytest.mark.parametrize(
    "settings", [{"stride": 1}, {"padding": 1}, {"ceil_mode": True}, {"kernel_size": 5}]
)
def test_other_windows_are_left_to_the_plain_rule(settings: dict[str, Any]) -> None:
    how: dict[str, Any] = {"kernel_size": 2} | settings
    node = find(traced(lambda x: F.max_pool2d(x, **how), (2, 3, 9, 9)), MAX_POOL)
    assert PoolWindows.of(node) is None


def block(norm: nn.Module) -> Callable[..., Tensor]:
    return lambda x, w: F.max_pool2d(norm(F.conv2d(x, w, padding=1)).relu(), 2)


def test_pixels_that_no_window_reads_are_not_computed() -> None:
    module = traced(block(nn.Identity()), (2, 3, 7, 7), (4, 3, 3, 3))
    components = Components(module.graph)
    assert len(components.grid(find(module, CONVOLUTION)).order) == 6 * 6
    # The image itself is seen whole, and its gradient with it.
    assert components.grid(module.graph.find_nodes(op="placeholder")[0]).is_natural


def test_pixels_that_a_norm_averages_are_all_computed() -> None:
    module = traced(block(nn.GroupNorm(2, 4)), (2, 3, 7, 7), (4, 3, 3, 3))
    grid = Components(module.graph).grid(find(module, CONVOLUTION))
    assert sorted(grid.order) == list(range(49))
    assert not grid.is_natural  # the windows come first


def test_relu_moves_behind_the_pool() -> None:
    """A quarter of the pixels; the values and the gradients stay what they were."""
    shapes = ((2, 3, 8, 8), (4, 3, 3, 3))
    module = traced(block(nn.Identity()), *shapes)
    arguments = [torch.randn(shape) for shape in shapes]
    want = module(*arguments)
    assert find(module, aten.relu.default).meta["val"].shape == (2, 4, 8, 8)
    sink_relu(module)
    assert find(module, aten.relu.default).meta["val"].shape == (2, 4, 4, 4)
    assert find(module, aten.threshold_backward.default).meta["val"].shape == (2, 4, 4, 4)
    assert all(map(torch.equal, module(*arguments), want))


def test_a_relu_that_something_else_reads_stays() -> None:
    def branch(x: Tensor) -> Tensor:
        active = x.relu()
        return F.max_pool2d(active, 2) + F.avg_pool2d(active, 2)

    module = traced(branch, (2, 3, 8, 8))
    sink_relu(module)
    assert find(module, aten.relu.default).meta["val"].shape == (2, 3, 8, 8)
