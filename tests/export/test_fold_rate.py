"""The learning rate at the start of the gradient, in place of one product per parameter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from edgemeta.meta.inner.updates import SGD, Update
from edgemeta_export.aten_passes import fold_rate

aten = torch.ops.aten


def step(update: Update) -> Callable[..., tuple[Tensor, ...]]:
    """One step of a linear model on its squared error; it hands back the loss as well."""

    def run(w: Tensor, b: Tensor, x: Tensor, lr: Tensor) -> tuple[Tensor, ...]:
        params = {"w": w.detach().requires_grad_(), "b": b.detach().requires_grad_()}
        loss = (x @ params["w"] + params["b"]).square().mean()
        grads = dict(zip(params, torch.autograd.grad(loss, list(params.values())), strict=True))
        moved, _ = update.apply(params, grads, lr, update.start(params), 0)
        return moved["w"], moved["b"], loss

    return run


def arguments() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(shape, generator=generator) for shape in ((3, 2), (2,), (5, 3))]
    return [*made, torch.tensor(0.1)]


def products_with_the_rate(module: GraphModule) -> int:
    rate = module.graph.find_nodes(op="placeholder")[-1]
    return len([user for user in rate.users if user.target is aten.mul.Tensor])


def test_one_product_with_the_rate_replaces_one_per_parameter() -> None:
    module = make_fx(step(SGD))(*arguments())
    want = module(*arguments())
    assert products_with_the_rate(module) == 2
    fold_rate(module)
    assert products_with_the_rate(module) == 0
    assert [user.target for user in module.graph.find_nodes(op="placeholder")[-1].users] == [
        aten.neg.default
    ]
    for got, expected in zip(module(*arguments()), want, strict=True):
        assert torch.allclose(got, expected, atol=1e-7)


def test_a_gradient_that_is_handed_back_keeps_its_size() -> None:
    """Were the seed scaled, so would be what else comes from it."""

    def with_gradient(w: Tensor, x: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        leaf = w.detach().requires_grad_()
        (grad,) = torch.autograd.grad((x @ leaf).square().mean(), leaf)
        return leaf - lr * grad, grad

    w, _, x, lr = arguments()
    module = make_fx(with_gradient)(w, x, lr)
    fold_rate(module)
    assert products_with_the_rate(module) == 1
