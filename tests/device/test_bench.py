from __future__ import annotations

import numpy as np
import pytest

from edgemeta import EdgemetaError, InputError, Runner
from edgemeta.measure.bench import Latency, measure, measure_cold_start, support_set


def test_the_support_set_has_every_class_as_often_as_asked(
    classifier: Runner, regressor: Runner
) -> None:
    x, y = support_set(classifier, shots=3)
    assert x.shape == (15, 28, 28)
    assert np.bincount(y).tolist() == [3] * 5
    x, y = support_set(regressor, shots=20)
    assert x.shape == y.shape == (20, 1)
    with pytest.raises(InputError, match="shots is too small"):
        support_set(classifier, shots=0)


def test_percentiles() -> None:
    found = Latency.of([k / 1000 for k in range(101)])
    assert found.p50 == pytest.approx(50)
    assert found.p95 == pytest.approx(95)


def test_more_steps_take_longer(classifier: Runner) -> None:
    one = measure(classifier, shots=1, steps=1, repeats=5)
    many = measure(classifier, shots=1, steps=300, repeats=5)
    assert (one.samples, one.steps, many.steps) == (5, 1, 300)
    assert 0 < one.adapt.p50 <= one.adapt.p95
    assert many.adapt.p50 > 3 * one.adapt.p50


def test_a_cold_start_is_the_sum_of_its_parts_and_more(classifier: Runner) -> None:
    found = measure_cold_start(classifier, shots=1, steps=None, threads=1)
    parts = (found.import_ms, found.load_ms, found.adapt_ms, found.predict_ms)
    assert min(parts) > 0
    assert found.total_ms > sum(parts) * 0.9  # medians of three, each taken by itself
    assert found.peak_mb is not None
    assert found.bundle_mb is not None
    assert 0 < found.bundle_mb < found.peak_mb


def test_a_process_that_fails_says_so(classifier: Runner) -> None:
    with pytest.raises(EdgemetaError, match=r"a fresh process failed.*shots is too small"):
        measure_cold_start(classifier, shots=0, steps=None, threads=1)
