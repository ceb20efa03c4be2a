"""The table of adaptation speed, what counts as a fault, and the models behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.adapt_latency import TOLERANCE, difference, faults, table
from benchmarks.contestants import Eager, Edgemeta
from benchmarks.models import CASES

SMALL = ("mlp", "conv4-32", "ds-cnn", "gru", "head-only", "transformer")


def results(**changes: Any) -> dict[str, Any]:
    case = {
        "samples": 5,
        "ms": {"eager": 4.0, "edgemeta": 2.0},
        "ratio": {"eager": 1.0, "edgemeta": 2.0},
        "floor_ms": 1.5,
        "difference": {"eager": 1e-7, "edgemeta": 2e-6},
        "missing": {},
    }
    return {"cases": {"one": case | changes}}


def test_table_shows_time_and_ratio() -> None:
    line = table(results()).splitlines()[2]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "one",
        "5",
        "4.00 (1.00x)",
        "2.00 (2.00x)",
        "1.50",
        "2e-06",
    ]


@pytest.mark.parametrize("apart", [2 * TOLERANCE, float("nan")])
def test_wrong_result_is_a_fault(apart: float) -> None:
    assert faults(results()) == []
    (fault,) = faults(results(difference={"eager": 0.0, "edgemeta": apart}))
    assert "edgemeta" in fault


def test_others_may_be_as_far_off_as_eager_in_float32() -> None:
    assert faults(results(difference={"eager": 0.03, "edgemeta": 0.05})) == []
    (fault,) = faults(results(difference={"eager": 0.03, "edgemeta": 0.07}))
    assert "edgemeta is 7.0e-02 away" in fault
    assert len(faults(results(difference={"eager": 0.5, "edgemeta": 0.5}))) == 2


def test_only_edgemeta_must_be_there() -> None:
    assert faults(results(missing={"torch.compile": "cannot"})) == []
    assert faults(results(missing={"edgemeta": "cannot"})) == ["one: cannot"]


@pytest.mark.parametrize("name", SMALL)
def test_eager_agrees_with_itself_in_float64_and_learns(name: str) -> None:
    reference = Eager(CASES[name], torch.float64)
    found = reference.result()
    with torch.no_grad():
        before = float(reference.loss(reference.init, reference.features()))
    assert found.loss < before
    assert difference(Eager(CASES[name]).result(), found) < TOLERANCE


def test_keeping_features_changes_nothing() -> None:
    case = CASES["head-only"]
    kept, plain = Eager(case, keep_features=True), Eager(case)
    assert len(kept.body) == case.frozen
    assert len(plain.body) == 0
    assert kept.result().params.keys() == {"head.weight", "head.bias"}
    assert difference(kept.result(), plain.result()) < 1e-6  # float32, the same sums


def test_a_wrong_learning_rate_exceeds_the_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    want = Eager(CASES["conv4-32"], torch.float64).result()
    monkeypatch.setattr("benchmarks.contestants.LR", 0.011)
    assert difference(Eager(CASES["conv4-32"]).result(), want) > TOLERANCE


def test_overhead_is_what_the_runner_adds(tmp_path: Path) -> None:
    edgemeta = Edgemeta(CASES["mlp"], 1, tmp_path)
    session = edgemeta.runner._model.adapting
    whole = float(np.median(edgemeta.run(20))) * 1e6
    assert 0 < edgemeta.overhead_us(20) < whole
    assert edgemeta.runner._model.adapting is session
