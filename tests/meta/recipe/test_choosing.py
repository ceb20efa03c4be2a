"""The cheapest of those that are as good as the best."""

from __future__ import annotations

import json
import math

import pytest

from edgemeta.measure.evaluate import Estimate
from edgemeta.meta.recipe.choosing import Scored, cheapest
from edgemeta.meta.recipe.table import CHOSEN, compared_rows

ERROR = 0.02  # of each accuracy, one standard error


def scored(init: str, accuracy: float, flops: int, shots: tuple[int, ...] = (1,)) -> Scored:
    choices = {"adapt": ("head.*",), "neck": "cosine", "inner_lr": 1.0, "inner_steps": 1}
    found = {count: Estimate(accuracy, 1.96 * ERROR) for count in shots}
    return Scored(init, "head", choices, found, flops)


def test_the_best_wins_where_the_others_are_clearly_worse() -> None:
    best = scored("best", 0.8, flops=100)
    assert cheapest([scored("cheap", 0.8 - 1.1 * ERROR, flops=1), best]) is best


def test_the_cheaper_wins_within_one_standard_error() -> None:
    cheap = scored("cheap", 0.8 - 0.9 * ERROR, flops=1)
    assert cheapest([scored("best", 0.8, flops=100), cheap]) is cheap


def test_of_equal_cost_the_better_wins() -> None:
    better = scored("better", 0.799, flops=1)
    both = [scored("worse", 0.79, flops=1), better, scored("best", 0.8, flops=2)]
    assert cheapest(both) is better


def test_shots_count_alike_and_the_error_is_that_of_their_mean() -> None:
    found = scored("a", 0.8, 1, shots=(1, 5))
    found.accuracy[5] = Estimate(0.9, 1.96 * ERROR)
    assert found.mean == pytest.approx(0.85)
    assert found.error == pytest.approx(ERROR / math.sqrt(2))


def test_what_diverges_never_wins_and_its_record_is_json() -> None:
    lost = scored("lost", math.nan, flops=1)
    good = scored("good", 0.3, flops=9)
    assert cheapest([lost, good]) is good
    record = json.loads(json.dumps(lost.record(), allow_nan=False))
    assert Scored.of(record).mean == -1


def test_a_record_comes_back() -> None:
    found = scored("a", 0.8, 7, shots=(1, 5))
    again = Scored.of(json.loads(json.dumps(found.record())))
    assert (again.init, again.choices, again.flops) == (found.init, found.choices, found.flops)
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
