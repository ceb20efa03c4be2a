"""The cheapest of those that are as good as the best."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from edgemeta.measure.evaluate import Estimate
from edgemeta.meta.recipe.choosing import Scored, cheapest, first_good
from edgemeta.meta.recipe.table import CHOSEN, compared_rows

CLASSES = 8
ERROR = 0.02  # the standard error of the difference between two that are not the same


def scored(
    init: str, accuracy: float, flops: int, shots: tuple[int, ...] = (1,), sign: int = 1
) -> Scored:
    """Make one whose classes are apart from those of the other sign: by 2 * ERROR, one error."""
    choices = {"adapt": ("head.*",), "neck": "cosine", "inner_lr": 1.0, "inner_steps": 1}
    found = {count: Estimate(accuracy, 0.001) for count in shots}
    spread = sign * ERROR / 2 * math.sqrt(CLASSES - 1)
    units = {c: accuracy + (spread if c % 2 else -spread) for c in range(CLASSES)}
    return Scored(init, "head", choices, found, flops, units)


def test_the_error_is_that_between_classes_and_each_is_compared_with_itself() -> None:
    one, other = scored("one", 0.8, 1), scored("other", 0.7, 1, sign=-1)
    assert one.error_beside(other) == pytest.approx(ERROR)
    assert one.error_beside(scored("alike", 0.7, 1)) == pytest.approx(0, abs=1e-9)
    assert one.error_beside(Scored("unmeasured", "head", {})) == 0


def test_the_best_wins_where_the_others_are_clearly_worse() -> None:
    best = scored("best", 0.8, flops=100)
    assert cheapest([scored("cheap", 0.8 - 1.1 * ERROR, flops=1, sign=-1), best]) is best


def test_the_cheaper_wins_within_one_standard_error() -> None:
    cheap = scored("cheap", 0.8 - 0.9 * ERROR, flops=1, sign=-1)
    assert cheapest([scored("best", 0.8, flops=100), cheap]) is cheap


def test_of_equal_cost_the_better_wins() -> None:
    better = scored("better", 0.8 - 0.5 * ERROR, flops=1, sign=-1)
    worse = scored("worse", 0.8 - 0.9 * ERROR, flops=1, sign=-1)
    assert cheapest([worse, better, scored("best", 0.8, flops=2)]) is better


def test_a_training_is_replaced_only_where_it_is_worse_by_two_standard_errors() -> None:
    best = scored("best", 0.8, flops=1)
    for errors, expected in ((1.9, "first"), (2.1, "best")):
        first = scored("first", 0.8 - errors * ERROR, flops=1, sign=-1)
        assert first_good([first, best]).init == expected


def test_shots_count_alike() -> None:
    found = scored("a", 0.8, 1, shots=(1, 5))
    found.accuracy[5] = Estimate(0.9, 0.001)
    assert found.mean == pytest.approx(0.85)


def test_what_diverges_never_wins_and_its_record_is_json() -> None:
    lost = replace(scored("lost", math.nan, flops=1), units={0: 0.2, 1: 0.2})
    good = scored("good", 0.3, flops=9)
    assert cheapest([lost, good]) is good
    record = json.loads(json.dumps(lost.record(), allow_nan=False))
    assert Scored.of(record).mean == -1


def test_a_record_comes_back() -> None:
    found = scored("a", 0.8, 7, shots=(1, 5))
    again = Scored.of(json.loads(json.dumps(found.record())))
    assert (again.init, again.choices, again.flops) == (found.init, found.choices, found.flops)
    assert again.units == pytest.approx(found.units, abs=1e-4)
    assert again.mean == pytest.approx(found.mean)


def test_the_table_has_the_best_of_each_and_marks_the_chosen() -> None:
    every = [scored("a", 0.5, 5), scored("a", 0.7, 5), scored("b", 0.6, 1), scored("c", 0.2, 1)]
    record = {
        "chosen": every[2].record(),
        "compared": [each.record() for each in every],
        "shots": [1],
    }
    header, rows = compared_rows(record)
    assert [row[0] for row in rows] == ["a", "b", "c"]
    assert [row[-1] for row in rows] == ["", CHOSEN, ""]
    assert rows[0][header.index("1-shot")] == "70.0%"
