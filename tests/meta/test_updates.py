"""Inner updates against torch.optim, and learned rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.updates import SGD, Update, checked_rates

X = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 0, 1, 2])
STEPS = 4


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def adapted(update: Update, lr: Any = 0.1, steps: int = STEPS) -> dict[str, Tensor]:
    loop = InnerLoop(model(), LOSSES["classification"], update=update)
    return loop.adapt(loop.init(), X, Y, steps=steps, lr=lr).params


Optimizer = Callable[[Any], torch.optim.Optimizer]


@pytest.mark.parametrize(
    ("update", "optimizer", "clip"),
    [
        (SGD, lambda p: torch.optim.SGD(p, 0.1), None),
        (Update(momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), None),
        (Update(weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1), None),
        (
            Update(momentum=0.5, weight_decay=0.01, clip_norm=0.2),
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.5, weight_decay=0.01),
            0.2,
        ),
        (Update("adam"), lambda p: torch.optim.Adam(p, 0.1), None),
        (
            Update("adam", weight_decay=0.1, beta1=0.8, beta2=0.9, eps=1e-3),
            lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.9), 1e-3, 0.1),
            None,
        ),
    ],
    ids=["sgd", "momentum", "decay", "all of sgd", "adam", "all of adam"],
)
def test_updates_are_those_of_torch_optim(
    update: Update, optimizer: Optimizer, clip: float | None
) -> None:
    reference = model()
    optimize = optimizer(reference.parameters())
    for _ in range(STEPS):
        optimize.zero_grad()
        nn.functional.cross_entropy(reference(X), Y).backward()  # type: ignore[no-untyped-call]
        if clip:
            decay = update.weight_decay
            # torch.optim decays after clipping; ours clips the decayed gradient, what is applied.
            for parameter in reference.parameters():
                assert parameter.grad is not None
                parameter.grad += decay * parameter.detach()
            nn.utils.clip_grad_norm_(reference.parameters(), clip)
            for parameter in reference.parameters():
                assert parameter.grad is not None
                parameter.grad -= decay * parameter.detach()
        optimize.step()
    for name, tensor in adapted(update).items():
        torch.testing.assert_close(tensor, reference.get_parameter(name), rtol=1e-5, atol=1e-6)


def test_rates_per_step_and_per_weight() -> None:
    shapes = {name: p.shape for name, p in model().named_parameters()}
    one = adapted(SGD, 0.1)
    same = adapted(SGD, {name: torch.tensor([0.1]) for name in shapes})
    weighted = adapted(SGD, {n: torch.full((1, *shape), 0.1) for n, shape in shapes.items()})
    for name in shapes:
        torch.testing.assert_close(same[name], one[name])
        torch.testing.assert_close(weighted[name], one[name])
    # Rates (0.1, 0.2), the last one repeated: as two stretches of plain steps.
    loop = InnerLoop(model(), LOSSES["classification"])
    state = loop.adapt(loop.init(), X, Y, steps=1, lr=0.1)
    state = loop.adapt(state, X, Y, steps=3, lr=0.2)
    stepped = adapted(SGD, {name: torch.tensor([0.1, 0.2]) for name in shapes})
    for name in shapes:
        torch.testing.assert_close(stepped[name], state.params[name])


def test_each_adaptation_starts_its_moments_anew() -> None:
    loop = InnerLoop(model(), LOSSES["classification"], update=Update(momentum=0.9))
    once = loop.adapt(loop.init(), X, Y, steps=2, lr=0.1)
    fresh = once._replace(moments={name: 0 * m for name, m in once.moments.items()})
    left = loop.adapt(once, X, Y, steps=2, lr=0.1)
    right = loop.adapt(fresh, X, Y, steps=2, lr=0.1)
    for name, tensor in left.params.items():
        assert torch.equal(tensor, right.params[name])


def test_meta_gradients_flow_into_learned_rates() -> None:
    loop = InnerLoop(model(), LOSSES["classification"])
    rates = {n: torch.full((2,), 0.1, requires_grad=True) for n in loop.init().params}
    state = loop.adapt(loop.init(), X, Y, steps=3, lr=rates, order=2)
    loop.loss(loop.predict(state, X), Y).backward()  # type: ignore[no-untyped-call]
    for rate in rates.values():
        assert rate.grad is not None
        assert bool((rate.grad != 0).all())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "rmsprop"}, "unknown update"),
        ({"momentum": 1.0}, "momentum is out of range"),
        ({"weight_decay": -1.0}, "out of range"),
        ({"clip_norm": 0.0}, "clip_norm must be positive"),
    ],
)
def test_updates_out_of_range(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Update(**given)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (0.0, "must be positive"),
        ({"weight": [0.1]}, "missing or unknown parameters: got bias"),
        ({"weight": 0.1, "bias": [0.1]}, "inner_lr of weight does not fit"),
        ({"weight": [[0.1, 0.1]], "bias": [0.1]}, "inner_lr of weight does not fit"),
        ({"weight": [0.1], "bias": [float("nan")]}, "inner_lr of bias does not fit"),
    ],
)
def test_rates_that_do_not_fit(rates: Any, message: str) -> None:
    params = dict(nn.Linear(2, 3).named_parameters())
    with pytest.raises(InputError, match=message):
        checked_rates(rates, params)
