"""Edits of the traced graph: what they replace, what they leave alone, and that values stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from edgemeta_export.aten_passes import bias_sums, join_pads, plain_ops, plain_softmax, sizes
from edgemeta_export.decompose import changes_its_input, slice_backward
from edgemeta_export.trace import trace

aten = torch.ops.aten


def traced(function: Callable[..., Any], *inputs: Tensor) -> GraphModule:
    table = {aten.slice_backward.default: slice_backward}
    return make_fx(function, table, tracing_mode="fake")(*inputs)


def count(module: GraphModule, target: Any) -> int:
    return len(module.graph.find_nodes(op="call_function", target=target))


def gradient(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(function(leaf).square().sum(), leaf)
        return grad

    return run


def same(module: GraphModule, function: Callable[..., Tensor], *inputs: Tensor) -> bool:
    return torch.allclose(module(*inputs), function(*inputs), atol=1e-6)


def parts(x: Tensor) -> Tensor:
    return torch.cat([x[:, :2].sin(), x[:, 2:5].cos(), x[:, 5:].exp()], 1)


def test_the_gradients_of_parts_are_put_side_by_side() -> None:
    x = torch.randn(4, 6)
    module = traced(gradient(parts), x)
    assert count(module, aten.constant_pad_nd.default) == 3
    join_pads(module)
    assert count(module, aten.constant_pad_nd.default) == 0
    assert count(module, aten.add.Tensor) == 0
    assert same(module, gradient(parts), x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.cat([x[:, :4].sin(), x[:, 3:].cos()], 1),  # they overlap
        lambda x: torch.cat([x[:, :2].sin(), x[:, 3:].cos()], 1),  # one is missing
        lambda x: torch.cat([x[:, :3].sin().sum()[None], x[:2].cos().sum()[None]]),  # two axes
    ],
)
def test_other_sums_of_padded_tensors_stay(function: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(4, 6)
    module = traced(gradient(function), x)
    before = count(module, aten.constant_pad_nd.default)
    join_pads(module)
    assert count(module, aten.constant_pad_nd.default) == before > 0
    assert same(module, gradient(function), x)


def scores(x: Tensor) -> Tensor:
    return torch.bmm(x, x.transpose(1, 2)) * 0.5


def attention(x: Tensor) -> Tensor:
    made: Tensor = aten._safe_softmax.default(scores(x), -1)
    return made


def masked_attention(x: Tensor, mask: Tensor) -> Tensor:
    made: Tensor = aten._safe_softmax.default(scores(x) + mask, -1)
    return made


def test_attention_without_a_mask_is_a_softmax() -> None:
    x = torch.randn(2, 4, 3)
    module = traced(attention, x)
    plain_softmax(module)
    assert count(module, aten._safe_softmax.default) == 0
    assert same(module, attention, x)


def product_and_mask(x: Tensor, mask: Tensor) -> Tensor:
    made: Tensor = aten._safe_softmax.default(torch.baddbmm(mask, x, x.transpose(1, 2)), -1)
    return made


@pytest.mark.parametrize("function", [masked_attention, product_and_mask])
def test_masked_attention_stays(function: Callable[..., Tensor]) -> None:
    """A row that is masked whole becomes zeros, not NaN."""
    x, mask = torch.randn(2, 4, 3), torch.zeros(4, 4)
    mask[1] = -torch.inf
    module = traced(function, x, mask)
    plain_softmax(module)
    assert count(module, aten._safe_softmax.default) == 1
    assert same(module, function, x, mask)


def biases(x: Tensor) -> Tensor:
    return torch.cat([x.sum((0, 1)), x.sum([0, 1], keepdim=True).flatten(), x[0].sum(0)])


def others(x: Tensor) -> Tensor:
    return torch.cat([x.sum(0).flatten(), x.sum((1, 2)), x.sum((0, 2)), x[0, 0].sum(0)[None]])


def test_sums_over_all_but_the_last_axis_are_products() -> None:
    x = torch.randn(4, 3, 5)
    module = traced(biases, x)
    bias_sums(module)
    assert count(module, aten.sum.dim_IntList) == 0
    assert count(module, aten.mm.default) == 3
    assert same(module, biases, x)
    module = traced(others, x)
    before = count(module, aten.sum.dim_IntList)
    bias_sums(module)
    assert count(module, aten.sum.dim_IntList) == before
    assert same(module, others, x)


def test_sizes_are_asked_of_the_inputs() -> None:
    def mean_of_rows(x: Tensor, w: Tensor) -> Tensor:
        rows = F.linear(x, w).reshape(-1, 2)  # (3 N, 2)
        return rows.sum(0) / rows.shape[0] + x.new_ones(x.shape[0], 2).sum(0)

    programs = [
        trace(
            mean_of_rows, [torch.randn(7, 4), torch.randn(6, 4)], [True, False], last_passes=edits
        )
        for edits in ([], [sizes])
    ]
    asked = [
        {
            node.args[0].op
            for node in p.graph.find_nodes(op="call_function", target=aten.sym_size.int)
        }
        for p in programs
    ]
    assert asked == [{"placeholder", "call_function"}, {"placeholder"}]


def in_place(module: GraphModule) -> int:
    return sum(changes_its_input(node.target) for node in module.graph.nodes)


def activated(x: Tensor) -> Tensor:
    y = F.relu_(x * 2)
    z = F.hardtanh_(y - x, -0.5, 0.5).reshape(2, -1)
    return z.sin().add_(z).mul_(3.0)


def test_in_place_ops_on_what_nothing_else_sees_become_plain() -> None:
    x = torch.randn(4, 6)
    for function in (activated, gradient(activated)):
        module = traced(function, x)
        assert in_place(module) >= 4
        plain_ops(module)
        assert in_place(module) == 0
        assert same(module, function, x)


def through_a_view(x: Tensor) -> Tensor:
    y = x * 2
    rows = y[:2]
    rows.relu_()
    return y.sin()


def under_a_view(x: Tensor) -> Tensor:
    y = x * 2
    rows = y.view(-1)
    y.relu_()
    return rows + 1


def into_the_input(x: Tensor) -> Tensor:
    return x.relu_() + 1


@pytest.mark.parametrize("function", [through_a_view, under_a_view, into_the_input])
def test_in_place_ops_that_something_else_sees_stay(function: Callable[[Tensor], Tensor]) -> None:
    module = traced(function, torch.randn(4, 6))
    plain_ops(module)
    assert in_place(module) == 1
    x = torch.randn(4, 6)
    assert torch.equal(module(x.clone()), function(x.clone()))


def view_after(x: Tensor) -> Tensor:
    y = x * 2
    y.relu_()
    rows = y.view(-1)
    rows.sub_(1.0)
    return rows.sin()


def test_a_view_made_afterwards_shows_the_new_tensor() -> None:
    x = torch.randn(4, 6)
    module = traced(view_after, x)
    plain_ops(module)
    assert in_place(module) == 0
    assert same(module, view_after, x)


def test_an_op_in_place_keeps_its_type() -> None:
    def mixed(x: Tensor) -> Tensor:
        return (x * 2).add_(x.double())

    module = traced(mixed, torch.randn(4, 6))
    plain_ops(module)
    assert in_place(module) == 1
