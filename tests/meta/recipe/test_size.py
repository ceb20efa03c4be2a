"""Tasks as large as the data allow."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta.errors import InputError
from edgemeta.meta.recipe._budget import LEAST, steps_within
from edgemeta.meta.recipe._size import fitting_size, shots_to_compare
from edgemeta.tasks import from_arrays
from edgemeta.tasks.dataset_source import DatasetSource


def source(classes: int, each: int) -> DatasetSource:
    y = np.arange(classes * each) % classes
    return from_arrays(np.random.default_rng(0).normal(size=(len(y), 3)), y)


def test_plenty_of_data_have_the_usual_tasks() -> None:
    size = fitting_size(source(40, 30), {})
    assert size == {"ways": 5, "shots": 1, "queries": 5, "evaluation_queries": 15}
    assert shots_to_compare(source(40, 30), size) == (1, 5)


def test_few_classes_and_samples_have_smaller_ones() -> None:
    small = source(15, 8)  # 3 classes each for validation and test
    size = fitting_size(small, {})
    assert size == {"ways": 3, "shots": 1, "queries": 5, "evaluation_queries": 7}
    assert shots_to_compare(small, size) == (1,)


def test_what_the_user_says_stays() -> None:
    assert fitting_size(source(40, 30), {"ways": 2, "shots": 3})["ways"] == 2
    assert fitting_size(source(40, 30), {"shots": 28})["evaluation_queries"] == 2


def test_too_little_data_is_one_line() -> None:
    with pytest.raises(InputError, match="too small to learn from") as caught:
        fitting_size(source(4, 10), {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "per_step", "steps"), [(100, 0.1, 990), (100, 0.001, 4000), (1, 1, LEAST)]
)
def test_steps_fit_into_the_time(seconds: float, per_step: float, steps: int) -> None:
    assert steps_within(seconds * 0.999, per_step, most=4000) == steps
