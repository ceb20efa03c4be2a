"""What counts as growing too fast."""

from __future__ import annotations

import pytest

from benchmarks.scaling import faults, fit


def series(power: float) -> list[dict[str, float]]:
    return [{"size": s, "ms": s**power, "mb": 5.0 + s} for s in (1, 2, 4)]


def test_quadratic_time_is_a_fault_in_shots_and_steps_only() -> None:
    exponents = fit({"shots": series(2), "steps": series(1), "width": series(2)})
    assert exponents["shots"]["ms"] == pytest.approx(2)
    (fault,) = faults(exponents)
    assert fault.startswith("time grows with shots to the power of 2.00")


def test_a_cost_that_is_not_a_number_is_a_fault() -> None:
    exponents = {name: {"ms": float("nan"), "mb": 1.0} for name in ("shots", "steps")}
    assert len(faults(exponents)) == 2
