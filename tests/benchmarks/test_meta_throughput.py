"""Whoever trains something else is refused before it is timed; the plain loop trains what we do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from torch import nn

from benchmarks.meta_contestants import (
    ALGORITHMS,
    CASES,
    Algorithm,
    Make,
    MetaCase,
    Step,
    edgemeta_contestant,
    meta_gradient,
    plain_loop,
)
from benchmarks.meta_throughput import (
    EDGEMETA,
    PLAIN,
    ROUGH,
    TOLERANCE,
    Reference,
    fault,
    main,
    measure_case,
    small,
    table,
)
from benchmarks.timing import relative_difference
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.objective import Ask, query_loss, stack_episodes


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.timing.PAUSE", 0.0)
    monkeypatch.setattr("edgemeta.meta.outer._planning.MEASURING_SECONDS", 0.0)


TINY = small(CASES["mlp-maml-5"])


def off(case: MetaCase, model: nn.Module) -> Step:
    """Take a step along a meta-gradient that is too large by a thousandth."""
    step = plain_loop(case, model)

    def wrong() -> None:
        step()
        for p in model.parameters():
            assert p.grad is not None
            p.grad *= 1.001

    return wrong


def one_step_short(case: MetaCase, model: nn.Module) -> Step:
    return plain_loop(replace(case, steps=case.steps - 1), model)


def first_order(case: MetaCase, model: nn.Module) -> Step:
    return plain_loop(replace(case, algorithm="fomaml"), model)


def none_at_all(case: MetaCase, model: nn.Module) -> Step:
    return lambda: None


def only_in_full_size(case: MetaCase, model: nn.Module) -> Step:
    """Forget a task, unless there are few."""
    if case == Reference(TINY).closely:
        return plain_loop(case, model)
    return plain_loop(replace(case, meta_batch=case.meta_batch - 1), model)


def gradients(model: nn.Module) -> dict[str, NDArray[Any]]:
    return {n: p.grad.clone().numpy() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "wrong", [off, one_step_short, first_order, none_at_all, only_in_full_size]
)
def test_who_trains_something_else_is_refused_and_not_timed(wrong: Make) -> None:
    contestants = {PLAIN: plain_loop, "wrong": wrong}
    found = measure_case(TINY, 1, 1, {}, contestants)
    assert found["refused"].keys() == {"wrong"}
    assert found["tasks_per_second"].keys() == {PLAIN}


def test_a_difference_that_is_no_number_is_refused() -> None:
    assert fault(TOLERANCE, ROUGH) is None
    assert fault(2 * TOLERANCE, 0.0) is not None
    assert fault(0.0, 2 * ROUGH) is not None
    assert fault(float("nan"), 0.0) is not None
    assert fault(0.0, float("nan")) is not None


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
def test_plain_loop_has_the_gradient_of_the_query_loss(algorithm: Algorithm) -> None:
    case = replace(small(CASES["conv4-32-maml-5"]), algorithm=algorithm)
    loop = InnerLoop(case.model(), case.loss)
    init = loop.init()
    tasks = stack_episodes(case.tasks())
    ask = Ask(case.steps, 2 if algorithm == "maml" else 1)
    losses = [
        query_loss(loop, init, case.inner_lr, tasks.select(k), ask) for k in range(case.meta_batch)
    ]
    names = list(init.params)
    grads = torch.autograd.grad(torch.stack(losses).mean(), [init.params[n] for n in names])
    want = {name: g.numpy() for name, g in zip(names, grads, strict=True)}
    # float32, sums of the same terms in another order
    assert relative_difference(meta_gradient(plain_loop, case), want) < 1e-5


@pytest.mark.parametrize("network", ["conv4-32", "mlp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_edgemeta_trains_what_the_plain_loop_trains(network: str, algorithm: Algorithm) -> None:
    case = small(CASES[f"{network}-{algorithm}-5"])
    found = Reference(case).difference(lambda one: meta_gradient(edgemeta_contestant, one))
    assert fault(*found) is None


@pytest.mark.parametrize("make", [plain_loop, edgemeta_contestant])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_gradient_is_left_from_the_step_before(make: Make, algorithm: Algorithm) -> None:
    case = small(CASES[f"mlp-{algorithm}-1"])
    model = case.model()
    step = make(case, model)
    step()
    first = gradients(model)
    start = dict(case.model().named_parameters())
    assert not all(torch.equal(p, start[name]) for name, p in model.named_parameters())
    step()
    assert relative_difference(gradients(model), first) < 0.1  # two steps' sum would be 1 off


def test_table_shows_rate_and_ratio_to_the_better_of_the_others() -> None:
    case = {
        "tasks_per_second": {PLAIN: 50.0, EDGEMETA: 200.0},
        "ratio": {PLAIN: 0.5, EDGEMETA: 2.0},
        "difference": {PLAIN: (1e-7, 0.0), EDGEMETA: (2e-6, 1e-3)},
    }
    line = table({"cases": {"one": case}}).splitlines()[2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "one",
        "50.0 (0.50x)",
        "200.0 (2.00x)",
        "2e-06",
    ]


def test_quick_run_writes_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--quick", "--case", "mlp-anil-1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "mlp-anil-1" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_run_writes_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "mlp-maml-5", TINY)
    arguments = ["--rounds", "1", "--case", "mlp-maml-5", "--out", str(tmp_path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "meta_throughput.json").read_text())
    assert written["cases"]["mlp-maml-5"]["ratio"][PLAIN] == 1.0
    assert written["machine"]["threads"] == torch.get_num_threads()
    assert "mlp-maml-5" in (tmp_path / "meta_throughput.md").read_text()
