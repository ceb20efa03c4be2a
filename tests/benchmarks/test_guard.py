"""When the guard fails."""

from __future__ import annotations

import json
import time

import pytest

from benchmarks.guard import GUARDED, STORED, on_processor, slower
from benchmarks.models import CASES


@pytest.mark.parametrize(
    ("ratios", "found", "measured"),
    [
        ([1.6, 0.0, 0.0], [], 1),  # good at once: no need to repeat
        ([1.0, 1.4, 1.5], [], 3),  # noise twice
        ([1.0, 1.4, 1.49], [1.0, 1.4, 1.49], 3),
        ([9.0], [], 1),
    ],
)
def test_only_three_low_repeats_fail(
    ratios: list[float], found: list[float], measured: int
) -> None:
    left = iter(ratios)
    assert slower(2.0, lambda: next(left)) == found
    assert len(list(left)) == len(ratios) - measured


def test_waiting_does_not_count() -> None:
    (waited,) = on_processor(lambda: time.sleep(0.2))(1)
    (worked,) = on_processor(lambda: sum(range(2_000_000)))(1)
    assert waited < 0.01 < worked


def test_every_guarded_case_has_a_stored_ratio() -> None:
    ratios = json.loads(STORED.read_text())["ratios"]
    assert ratios.keys() == set(GUARDED)
    assert ratios.keys() <= CASES.keys()
    assert all(ratio > 0 for ratio in ratios.values())
