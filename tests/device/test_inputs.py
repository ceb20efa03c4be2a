"""Every support set and query that cannot be used is refused with one clear line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgemeta import InputError, Runner
from edgemeta.bundle import TensorSpec
from edgemeta.device.inputs import check_samples
from tests.cases import CASE

X, Y = CASE["mlp-classes"].samples(5, seed=1)
WAVE_X, WAVE_Y = CASE["mlp-sinusoid"].samples(5, seed=1)
NAN = WAVE_X.copy()
NAN[2] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:0], Y[:0], "support_x is empty"),
        (X[0], Y, r"one sample, not a batch.*x\[None\]"),
        (X[:, :14], Y, r"support_x has the wrong shape: got \(5, 14, 28\), expected \(n, 28, 28\)"),
        (X / 255.0, Y, "wrong dtype: got float64, expected uint8; pass raw samples"),
        (X.astype(np.int32) - 1, Y, "values that uint8 cannot hold: got -1"),
        (X.astype(str), Y, "must hold numbers"),
        ([[1, 2], [3]], Y, "support_x is no array"),
        (None, Y, "must hold numbers"),
        (X, Y[:4], r"support_y has the wrong shape: got \(4,\), expected \(5,\)"),
        (X, Y[:, None], "support_y has the wrong shape"),
        (X, Y + 1, r"outside the task's classes: got 1\.\.5, expected 0\.\.4"),
        (X, Y - 1, "outside the task's classes"),
        (X, Y.astype(np.float32), "must hold integer labels"),
        (X, Y.astype(str), "must hold numbers"),
    ],
)
def test_unusable_classification_support(classifier: Runner, x: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        classifier.adapt(x, y)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (NAN, WAVE_Y, "support_x holds values that are not finite: got 1 of 5"),
        (WAVE_X, NAN, "support_y holds values that are not finite"),
        (WAVE_X, WAVE_Y[:, 0], "support_y has the wrong shape"),
        (np.full((5, 1), 1e300), WAVE_Y, "too large for float32"),
    ],
)
def test_unusable_regression_support(regressor: Runner, x: Any, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        regressor.adapt(x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps is out of range"),
        ({"steps": 10**9}, "steps is out of range"),
        ({"steps": 1.5}, "steps must be an integer"),
        ({"steps": True}, "steps must be an integer"),
        ({"lr_scale": float("nan")}, "lr_scale is out of range"),
        ({"lr_scale": -1.0}, "lr_scale is out of range"),
        ({"lr_scale": "much"}, "lr_scale must be a number"),
    ],
)
def test_unusable_numbers(classifier: Runner, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        classifier.adapt(X, Y, **options)


def test_unusable_queries(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y)
    with pytest.raises(InputError, match="query_x is empty"):
        learner.predict(X[:0])
    with pytest.raises(InputError, match="query_x is one sample"):
        learner.predict(X[0])


@given(
    array=arrays.arrays(
        st.sampled_from([np.uint8, np.int16, np.int64, np.float16, np.float64, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    dtype=st.sampled_from(["uint8", "int8", "int32", "float32"]),
)
@settings(max_examples=300, deadline=None)
def test_samples_keep_their_values_or_are_refused(array: Any, dtype: str) -> None:
    spec = TensorSpec((2, 3), dtype)
    try:
        got = check_samples("x", array, spec)
    except InputError:
        return
    assert got.shape == (len(array), 2, 3)
    assert got.dtype == dtype
    assert got.flags.c_contiguous
    # Integers are kept exactly; floats are rounded to float32, whose smallest normal is 1.2e-38.
    np.testing.assert_allclose(
        got.astype(np.float64), array.astype(np.float64), rtol=1e-6, atol=1.2e-38
    )
