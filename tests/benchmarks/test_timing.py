"""The sums and the order of things that every speed benchmark relies on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.timing import (
    CALLS,
    Round,
    fitted_exponent,
    in_rounds,
    markdown,
    median_ms,
    relative_difference,
)


def test_exponent_of_a_power_law_is_found() -> None:
    sizes = [1, 2, 4, 8]
    assert fitted_exponent(sizes, [3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert fitted_exponent(sizes, [7.0] * 4) == pytest.approx(0.0)


def test_rounds_alternate_and_drop_their_first_calls() -> None:
    order = []

    def contestant(name: str) -> Round:
        def run(calls: int) -> list[float]:
            order.append((name, calls))
            return [1.0, 1.0, *[1e-3] * (calls - 2)]

        return run

    seconds = in_rounds({"a": contestant("a"), "b": contestant("b")}, rounds=2)
    # The warm-up's median is slow (1 s), so rounds are short and lose one call.
    assert order == [(n, CALLS[0]) for n in "ab" * 3]
    assert seconds == {"a": [1.0, 1e-3] * 2, "b": [1.0, 1e-3] * 2}


def test_fast_contestants_run_in_full_rounds() -> None:
    """A tenth of a second of calls that take 10 ms, of which the first fifth does not count."""
    seconds = in_rounds({"a": lambda calls: [1e-2 + k * 1e-6 for k in range(calls)]}, rounds=1)
    assert seconds["a"] == [1e-2 + k * 1e-6 for k in range(2, 9)]
    seconds = in_rounds({"a": lambda calls: [1e-9] * calls}, rounds=1)
    assert len(seconds["a"]) == 0.8 * CALLS[1]


def test_median_is_in_milliseconds() -> None:
    assert median_ms([0.001, 0.002, 0.1]) == pytest.approx(2)


def test_table_lines_up() -> None:
    assert markdown(["case", "ms"], [["a", "10.00"], ["bcdef", "1"]]).splitlines() == [
        "| case  |    ms |",
        "| ----- | ----: |",
        "| a     | 10.00 |",
        "| bcdef |     1 |",
    ]


def test_difference_is_relative_to_the_tensors_largest_value() -> None:
    want = {"a": np.array([1.0, -4.0]), "b": np.array(2.0)}
    got = {"a": np.array([1.2, -4.0]), "b": np.array(2.02)}
    assert relative_difference(got, want) == pytest.approx(0.05)
    assert relative_difference(want, want) == 0
    assert np.isnan(relative_difference({"a": np.array(np.nan)}, {"a": np.array(1.0)}))


@pytest.mark.parametrize("got", [{"b": np.zeros(2)}, {"a": np.zeros(1)}])
def test_difference_of_other_tensors_is_refused(got: dict[str, NDArray[Any]]) -> None:
    with pytest.raises(ValueError, match=r"other tensors|shape"):
        relative_difference(got, {"a": np.zeros(2)})
