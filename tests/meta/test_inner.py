from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.models.networks import build_model

MSE = LOSSES["regression"]


def line() -> InnerLoop:
    """y = w x + b in float64: small enough to differentiate by hand."""
    model = nn.Linear(1, 1).double()
    with torch.no_grad():
        model.weight.fill_(0.7)
        model.bias.fill_(-0.2)
    return InnerLoop(model, MSE)


X = torch.tensor([[1.0], [2.0], [-1.5]], dtype=torch.float64)
Y = torch.tensor([[0.5], [-1.0], [2.0]], dtype=torch.float64)
QUERY_X, QUERY_Y = X * 1.3, Y - 0.4
LR = 0.05


def test_step_is_gradient_descent_by_hand() -> None:
    loop = line()
    state, loss = loop.step(loop.init(), X, Y, LR)
    residual = 0.7 * X - 0.2 - Y
    torch.testing.assert_close(loss, (residual**2).mean())
    torch.testing.assert_close(
        state.params["weight"].squeeze(), 0.7 - LR * (2 * residual * X).mean()
    )
    torch.testing.assert_close(state.params["bias"].squeeze(), -0.2 - LR * (2 * residual).mean())


def test_the_init_is_never_changed() -> None:
    loop = line()
    loop.adapt(loop.init(), X, Y, steps=3, lr=LR)
    assert loop.model.weight.item() == 0.7  # type: ignore[operator]


@pytest.mark.parametrize("order", [0, 1, 2])
def test_every_order_adapts_to_the_same_values(order: int) -> None:
    loop = line()
    want = loop.adapt(loop.init(), X, Y, steps=3, lr=LR)
    got = loop.adapt(loop.init(), X, Y, steps=3, lr=LR, order=order)  # type: ignore[arg-type]
    torch.testing.assert_close(got.params, want.params, rtol=0, atol=0)


def meta_loss(loop: InnerLoop, init: State, order: int) -> Tensor:
    adapted = loop.adapt(init, X, Y, steps=2, lr=LR, order=order)  # type: ignore[arg-type]
    return MSE(loop.predict(adapted, QUERY_X), QUERY_Y)


def test_second_order_meta_gradient_equals_central_differences() -> None:
    loop = line()
    (got,) = torch.autograd.grad(meta_loss(loop, loop.init(), 2), [loop.init().params["weight"]])
    eps = 1e-6
    values = []
    for sign in (1, -1):
        init = loop.init().as_leaves()
        init.params["weight"] = (init.params["weight"] + sign * eps).detach().requires_grad_()
        values.append(meta_loss(loop, init, 2).item())
    # float64; central differences leave about eps^2 and 1e-16 / eps
    assert got.item() == pytest.approx((values[0] - values[1]) / (2 * eps), abs=1e-8)


def test_first_order_meta_gradient_is_the_query_gradient_at_the_adapted_weights() -> None:
    loop = line()
    (got,) = torch.autograd.grad(meta_loss(loop, loop.init(), 1), [loop.init().params["weight"]])
    adapted = loop.adapt(loop.init(), X, Y, steps=2, lr=LR).as_leaves()
    query_loss = MSE(loop.predict(adapted, QUERY_X), QUERY_Y)
    (want,) = torch.autograd.grad(query_loss, [adapted.params["weight"]])
    torch.testing.assert_close(got, want)
    (second,) = torch.autograd.grad(meta_loss(loop, loop.init(), 2), [loop.init().params["weight"]])
    assert not torch.allclose(got, second)


def test_only_what_the_patterns_name_adapts() -> None:
    model = build_model("mlp", TensorSpec((3,), "float32"), ways=2, hidden=(4,))
    loop = InnerLoop(model, LOSSES["classification"], adapt=("head.*",))
    init = loop.init()
    assert set(init.params) == {"head.weight", "head.bias"}
    assert "body.0.weight" in init.frozen
    adapted = loop.adapt(init, torch.randn(4, 3), torch.tensor([0, 1, 0, 1]), steps=2, lr=0.1)
    assert not torch.equal(adapted.params["head.weight"], init.params["head.weight"])
    assert adapted.frozen["body.0.weight"] is init.frozen["body.0.weight"]


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    model = build_model("mlp", TensorSpec((3,), "float32"), ways=2, hidden=(4,))
    with pytest.raises(UnsupportedModelError, match=r"'tail\.\*' matches no parameter.*head\."):
        InnerLoop(model, LOSSES["classification"], adapt=("tail.*",))


def test_support_statistics_become_the_state() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    loop = InnerLoop(model, LOSSES["classification"])
    x, y = torch.randn(6, 3), torch.tensor([0, 1] * 3)
    state = loop.adapt(loop.init(), x, y, steps=2, lr=0.1)
    hidden = nn.functional.linear(x, state.params["0.weight"], state.params["0.bias"])
    torch.testing.assert_close(state.buffers["1.running_mean"], hidden.mean(0))
    torch.testing.assert_close(state.buffers["1.running_var"], hidden.var(0, correction=0))


def test_a_query_never_sees_another_query() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    loop = InnerLoop(model, LOSSES["classification"])
    x, y = torch.randn(6, 3), torch.tensor([0, 1] * 3)
    state = loop.adapt(loop.init(), x, y, steps=1, lr=0.1)
    queries = torch.randn(5, 3)
    together = loop.predict(state, queries)
    alone = torch.cat([loop.predict(state, query[None]) for query in queries])
    torch.testing.assert_close(together, alone)


def test_the_statistics_carry_a_meta_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    loop = InnerLoop(model, LOSSES["classification"])
    x, y = torch.randn(6, 3), torch.tensor([0, 1] * 3)
    state = loop.adapt(loop.init(), x, y, steps=1, lr=0.1, order=2)
    assert state.buffers["1.running_var"].requires_grad


def test_zero_steps_return_the_state_itself() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    loop = InnerLoop(model, LOSSES["classification"])
    init = loop.init()
    assert loop.adapt(init, torch.randn(4, 3), torch.tensor([0, 1, 0, 1]), steps=0, lr=0.1) is init
