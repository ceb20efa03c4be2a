from __future__ import annotations

import pytest

from edgemeta.meta.outer._optimizer import falling
from edgemeta.meta.runs.algorithms import PRESETS, multi_step_weights
from edgemeta.meta.runs.config import TrainConfig


@pytest.mark.parametrize("algorithm", PRESETS)
def test_a_preset_is_a_config_and_each_of_its_choices_may_be_replaced(algorithm: str) -> None:
    config = TrainConfig.of(tasks="glyphs", algorithm=algorithm)
    for name, value in PRESETS[algorithm].items():
        assert getattr(config, name) == value
    assert TrainConfig.of(tasks="glyphs", algorithm=algorithm, inner_steps=7).inner_steps == 7


def test_the_weights_of_the_steps_go_from_equal_to_the_last() -> None:
    assert multi_step_weights(0, 4, 100) == (0.25,) * 4
    assert multi_step_weights(50, 4, 100) == (0.125, 0.125, 0.125, 0.625)
    assert multi_step_weights(100, 4, 100) == (0, 0, 0, 1)
    assert multi_step_weights(999, 4, 100) == (0, 0, 0, 1)
    assert multi_step_weights(0, 4, 0) == (0, 0, 0, 1)
    assert multi_step_weights(0, 1, 100) == (1,)


def test_the_schedules() -> None:
    assert [falling("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [falling("linear", p) for p in (0, 0.25, 1)] == pytest.approx([1, 0.75, 0])
    assert [falling("constant", p) for p in (0, 0.25, 1)] == [1, 1, 1]
