from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemeta.device.probabilities import log_softmax
from edgemeta.estimators._calibration import MOST_FOLDS, find_temperature, folds


@given(st.lists(st.integers(2, 9), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_folds_hold_out_each_sample_once_and_leave_every_class(
    counts: list[int], random: np.random.Generator
) -> None:
    labels = [k for k, count in enumerate(counts) for _ in range(count)]
    random.shuffle(labels)
    y = np.array(labels)
    parts = list(folds(y))
    assert len(parts) == min(MOST_FOLDS, min(counts))
    assert np.array_equal(np.sum(parts, 0), np.ones(len(y)))
    for held_out in parts:
        assert set(y[~held_out]) == set(y[held_out]) == set(y)


def drawn(temperature: float, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return logits that are too far apart by a factor, and labels drawn by the right ones."""
    rng = np.random.default_rng(0)
    right = rng.normal(0, 2, (count, 4))
    probabilities = np.exp(log_softmax(right))
    y = (probabilities.cumsum(1) < rng.uniform(size=(count, 1))).sum(1)
    return right * temperature, y


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature: float) -> None:
    logits, y = drawn(temperature, 4000)
    # The logarithm of the estimate has a standard error of about 0.03 at 4000 samples.
    assert find_temperature(logits, y) == pytest.approx(temperature, rel=0.1)


def test_few_samples_that_are_all_right_do_not_freeze_it() -> None:
    logits = 5.0 * np.eye(3)
    found = find_temperature(logits, np.arange(3))
    assert 0.3 < found < 1  # without the prior, the coldest that there is


def test_the_numbers_scale_is_taken_care_of() -> None:
    assert np.isfinite(find_temperature(np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([1, 1])))
    assert np.isfinite(log_softmax(np.array([[1e300, 0.0]]))).all()
