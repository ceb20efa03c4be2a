from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import forgetting, unknown
from benchmarks.unknown import SCORES, Found, calibration_error, equal_errors, rates

KNOWN, UNKNOWN = np.array([0.5, 0.9, 0.8, 0.7]), np.array([0.1, 0.6, 0.2, 0.8])


def test_rates_count_what_they_say() -> None:
    found = rates(KNOWN, UNKNOWN, 0.75)
    assert found["false_reject"] == 0.5
    assert found["false_accept"] == 0.25
    # Of 16 pairs the known one is above in 4 + 2 + 3 + 3, and level in one.
    assert found["area"] == pytest.approx(12.5 / 16)


def test_the_threshold_makes_as_many_errors_of_both_sorts() -> None:
    rng = np.random.default_rng(0)
    pair = rng.normal(2, 1, 5000), rng.normal(0, 1, 5000)
    found = Found(pair, pair, pair[0], pair[0] > 0, True)
    # By symmetry 1; the quantiles at hand are some 0.01 apart there, their error about 0.02.
    assert equal_errors(SCORES["familiarity"], [found]) == pytest.approx(1, abs=0.05)


def test_the_calibration_error_is_the_gap_of_each_bin() -> None:
    probability = np.array([0.9] * 10 + [0.5] * 10)
    right = np.array([True] * 9 + [False] + [True] * 5 + [False] * 5)
    assert calibration_error(probability, right) == pytest.approx(0)
    assert calibration_error(probability, ~right) == pytest.approx(0.4)
    assert calibration_error(np.ones(4), np.zeros(4, bool)) == 1


def test_the_results_are_of_these_settings() -> None:
    found = json.loads(unknown.RESULT.read_text())
    assert [(row["ways"], row["shots"]) for row in found["settings"]] == unknown.SETTINGS
    assert found["episodes"] == unknown.EPISODES
    for measured in json.loads(forgetting.RESULT.read_text()).values():
        assert measured["episodes"] == forgetting.EPISODES
        assert set(measured["shots"]) == {str(shots) for shots in forgetting.SHOTS}
