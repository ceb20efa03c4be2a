"""Every way of computing an outer gradient gives the same one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.objective import Ask, Tasks
from edgemeta.meta.inner.rates import start_rates
from edgemeta.meta.outer._engine import LOOP, Engine, Plan, plans
from edgemeta.meta.outer._planning import fastest, recorded
from edgemeta.meta.outer._recorded_step import agree
from edgemeta.meta.runs.building import make_model
from edgemeta.meta.runs.checkpoint import DataStatistics
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import make_loop

TASKS = 5
# float64; the batched form sums in another order. Largest seen: 3e-13 of the largest gradient, and
# 4e-9 with the inner Adam, whose steps divide by gradients near zero.
RTOL = 1e-7

PLANS = [Plan(1, 1), Plan(1, 3), Plan(2, 1), Plan(2, 2), Plan(TASKS, 1)]


def config_of(**options: object) -> TrainConfig:
    small = {"tasks": "glyphs", "width": 4, "inner_steps": 3, "inner_lr": 0.1, "pool": "stride"}
    return TrainConfig.of(**small | options)


def make_engine(config: TrainConfig) -> Engine:
    torch.manual_seed(0)
    statistics = DataStatistics(
        "classification", TensorSpec((28, 28), "float32"), (), (0.0,), (1.0,)
    )
    loop = make_loop(config, statistics, make_model(config, statistics))
    loop.model.double()
    for parameter in loop.model.parameters():  # a head of zeros would hide half of the gradient
        parameter.data += 0.1 * torch.randn(parameter.shape)
    rates = start_rates(config.rates, loop.init().params, config.inner_lr, config.inner_steps)
    if isinstance(rates, dict):
        rates = {name: nn.Parameter(rate.data.double()) for name, rate in rates.items()}
    return Engine(loop, rates, "displacement" if config.objective == "displacement" else "query")


def make_tasks(teacher: bool = False) -> Tasks:
    torch.manual_seed(1)
    labels = torch.arange(5).expand(TASKS, 5)
    return Tasks(
        torch.rand(TASKS, 5, 28, 28, dtype=torch.float64),
        labels,
        torch.rand(TASKS, 10, 28, 28, dtype=torch.float64),
        labels.repeat(1, 2),
        torch.randn(TASKS, 10, 5, dtype=torch.float64) if teacher else None,
    )


def gradients(engine: Engine, tasks: Tasks, ask: Ask, plan: Plan) -> tuple[float, list[Tensor]]:
    engine.use(plan)
    for leaf in engine.leaves:
        leaf.grad = None
    loss = engine.accumulate(tasks, ask, 1 / TASKS)
    engine.close()
    return loss, [leaf.grad.clone() for leaf in engine.leaves if leaf.grad is not None]


def assert_close(left: list[Tensor], right: list[Tensor]) -> None:
    scale = max(float(grad.abs().max()) for grad in left)
    assert scale > 1e-4  # or there would be nothing to compare
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert float((one - other).abs().max()) <= RTOL * scale


CHOICES: dict[str, dict[str, object]] = {
    "maml": {},
    "support-norm": {"norm": "support"},
    "transductive": {"norm": "transductive"},
    "first-order": {"order": "first"},
    "anil": {"adapt": ("head.*",)},
    "anil-support-norm": {"adapt": ("head.*",), "norm": "support"},
    "boil": {"adapt": ("*", "!head.*")},
    "momentum": {"momentum": 0.9},
    "adam": {"update": "adam", "inner_lr": 0.01},
    "shared-head": {"head": "shared"},
    "reptile": {"objective": "displacement"},
    "rates-tensor": {"rates": "tensor"},
    "rates-step": {"rates": "step"},
    "rates-weight": {"rates": "weight"},
    "rates-step-weight": {"rates": "step-weight"},
}


@pytest.mark.parametrize("name", CHOICES)
def test_every_plan_gives_the_same_gradient(name: str) -> None:
    config = config_of(**CHOICES[name])
    engine, tasks = make_engine(config), make_tasks()
    ask = Ask(config.inner_steps, 1 if config.order == "first" else 2)
    loss, expected = gradients(engine, tasks, ask, LOOP)
    for plan in PLANS[1:]:
        other_loss, found = gradients(engine, tasks, ask, plan)
        assert other_loss == pytest.approx(loss, rel=RTOL)
        assert_close(expected, found)


def test_workers_give_the_very_bits_of_the_loop() -> None:
    engine, tasks, ask = make_engine(config_of()), make_tasks(), Ask(2)
    _, expected = gradients(engine, tasks, ask, Plan(1, 1))
    for _ in range(3):
        _, found = gradients(engine, tasks, ask, Plan(1, 3))
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("plan", [Plan(2, 2), Plan(TASKS, 1)], ids=str)
@pytest.mark.parametrize("name", CHOICES)
def test_a_record_gives_the_very_bits_also_of_weights_that_have_moved(
    name: str, plan: Plan
) -> None:
    config = config_of(**CHOICES[name])
    engine, tasks = make_engine(config), make_tasks(teacher=config.objective == "query")
    ask = Ask(config.inner_steps, 1 if config.order == "first" else 2, distill=0.3)
    with_record = plan._replace(recorded=True)
    before = gradients(engine, tasks, ask, with_record)
    for _ in range(2):  # the interpreter rewrites a graph after its first runs
        loss, expected = gradients(engine, tasks, ask, plan)
        other_loss, found = gradients(engine, tasks, ask, with_record)
        assert other_loss == loss
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
        for leaf in engine.leaves:
            leaf.data += 0.01 * torch.randn(leaf.shape, dtype=leaf.dtype)
    assert before[0] != loss


def test_a_step_is_recorded_once_for_each_size_and_ask() -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    for asked in (Ask(2), Ask(2), Ask(3)):
        gradients(engine, tasks, asked, Plan(2, 2, recorded=True))  # chunks of 2, 2 and 1
    assert len(engine._recorded) == 4


def test_results_agree_to_within_rounding_of_the_largest() -> None:
    ones, tiny = torch.ones(2), torch.full((2,), 1e-9)
    assert agree([ones], [ones])
    assert not agree([ones], [ones + 1e-6])
    assert agree([ones], [ones + 1e-6], 1e-5)
    assert agree([ones, tiny], [ones, -tiny], 1e-5)  # zeros but for rounding
    assert not agree([ones, tiny], [ones, ones], 1e-5)
    assert not agree([ones], [ones * float("nan")], 1e-5)


class Noisy(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x + torch.randn_like(x))
        return out


class Elsewhere(Noisy):
    shift = torch.ones((), dtype=torch.float64)  # no buffer: the engine does not know of it

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x + self.shift)
        return out


@pytest.mark.parametrize(("wrap", "can"), [(Noisy, False), (Elsewhere, False), (None, True)])
def test_what_does_not_repeat_itself_is_not_recorded(wrap: type[Noisy] | None, can: bool) -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    if wrap is not None:
        loop = InnerLoop(wrap(engine.loop.model), engine.loop.loss, ("*",), engine.loop.update)
        engine = Engine(loop, engine.rates)
    assert recorded(engine, tasks, Ask(1)) == engine.plan == LOOP._replace(recorded=can)
    assert all(leaf.grad is None for leaf in engine.leaves)


def test_one_record_serves_all_weights_of_the_inner_steps() -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    for weights in ((0.5, 0.5), (0.3, 0.7)):
        loss, expected = gradients(engine, tasks, Ask(2, weights=weights), LOOP)
        other_loss, found = gradients(
            engine, tasks, Ask(2, weights=weights), LOOP._replace(recorded=True)
        )
        assert other_loss == loss
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert len(engine._recorded) == 1


def test_a_step_that_drops_activations_is_not_recorded() -> None:
    engine, tasks, ask = make_engine(config_of()), make_tasks(), Ask(2, checkpointing=True)
    _, expected = gradients(engine, tasks, ask, LOOP)
    _, found = gradients(engine, tasks, ask, LOOP._replace(recorded=True))
    assert not engine._recorded
    assert_close(expected, found)


@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(TASKS, 1)], ids=str)
def test_checkpointing_changes_nothing(plan: Plan) -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    _, expected = gradients(engine, tasks, Ask(3), plan)
    _, found = gradients(engine, tasks, Ask(3, checkpointing=True), plan)
    assert_close(expected, found)


@pytest.mark.parametrize("plan", [Plan(1, 1), Plan(TASKS, 1)], ids=str)
def test_the_gradient_is_that_of_the_loss(plan: Plan) -> None:
    """Central differences of the mean loss along the gradient."""
    engine, tasks = make_engine(config_of(norm="none", rates="step")), make_tasks(teacher=True)
    ask = Ask(2, weights=(0.25, 0.75), distill=0.3)
    _, grads = gradients(engine, tasks, ask, plan)
    squared = sum(float((grad**2).sum()) for grad in grads)
    losses, eps = [], 1e-6
    for sign in (1, -2):
        for leaf, grad in zip(engine.leaves, grads, strict=True):
            leaf.data += sign * eps * grad
        losses.append(gradients(engine, tasks, ask, plan)[0])
    assert (losses[0] - losses[1]) / (2 * eps) == pytest.approx(squared, rel=1e-3)


def test_first_order_is_another_gradient() -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    _, second = gradients(engine, tasks, Ask(3, 2), LOOP)
    _, first = gradients(engine, tasks, Ask(3, 1), LOOP)
    with pytest.raises(AssertionError):
        assert_close(second, first)


def test_displacement_points_from_the_adapted_weights_to_the_init() -> None:
    config = config_of(objective="displacement")
    engine, tasks = make_engine(config), make_tasks()
    _, grads = gradients(engine, tasks, Ask(3), LOOP)
    loop = engine.loop
    moved = dict.fromkeys(loop.adapted, torch.zeros(()))
    for k in range(TASKS):
        x = torch.cat([tasks.support_x[k], tasks.query_x[k]])
        y = torch.cat([tasks.support_y[k], tasks.query_y[k]])
        adapted = loop.adapt(loop.init(), x, y, steps=3, lr=config.inner_lr)
        for name, value in adapted.params.items():
            moved[name] = moved[name] + (loop.init().params[name] - value).detach() / TASKS
    assert_close(list(moved.values()), grads)


def test_the_candidates_of_each_strategy() -> None:
    assert plans("loop", 8, 4) == (Plan(1, 1),)
    assert plans("workers", 8, 4) == (Plan(1, 4),)
    assert plans("workers", 2, 4) == (Plan(1, 2),)
    assert plans("vmap", 8, 2) == (Plan(4, 2),)
    assert plans("vmap", 8, 2, chunk=8) == (Plan(8, 1),)
    assert plans("vmap", 8, 2, chunk=3) == (Plan(3, 2),)
    assert plans("auto", 8, 2) == (Plan(1, 2), Plan(1, 1), Plan(4, 2))
    assert plans("auto", 1, 1) == (Plan(1, 1),)
    # On a GPU.
    assert plans("auto", 8, 0) == (Plan(8, 1), Plan(1, 1))
    assert plans("auto", 8, 0, chunk=4) == (Plan(4, 1), Plan(1, 1))
    assert plans("workers", 8, 0) == (Plan(1, 1),)


def test_the_fastest_plan_is_kept_and_leaves_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, tasks = make_engine(config_of()), make_tasks()
    seconds = {Plan(1, 2): 1.0, Plan(1, 1): 0.9, Plan(3, 2): 0.5}
    monkeypatch.setattr("edgemeta.meta.outer._planning._seconds", lambda e, *_: seconds[e.plan])
    assert fastest(engine, list(seconds)[:2], tasks, Ask(1)) == Plan(1, 2)  # 0.9 is too close
    assert fastest(engine, list(seconds), tasks, Ask(1)) == Plan(3, 2)
    monkeypatch.undo()
    monkeypatch.setattr("edgemeta.meta.outer._planning.MEASURING_SECONDS", 0.0)
    assert fastest(engine, [LOOP], tasks, Ask(1)) == LOOP
    assert all(leaf.grad is None for leaf in engine.leaves)
    engine.close()


def test_choices_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(InputError, match="need the query loss"):
        config_of(objective="displacement", rates="step")
    with pytest.raises(InputError, match="unknown algorithm"):
        config_of(algorithm="mamml")
    assert config_of(algorithm="maml++", order="first").rates == "step"
    assert np.isclose(config_of(algorithm="reptile").meta_lr, 1.0)
