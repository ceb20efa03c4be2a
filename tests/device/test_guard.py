"""An adaptation leaves the model no worse than it was, or is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemeta import AdaptationError, InputError, Learner, Runner
from edgemeta.device.guard import RISE, SLACK, check_progress
from edgemeta.device.inputs import MAX_LR_SCALE
from tests.cases import CASE

CLASSES, SINUSOID = CASE["mlp-classes"], CASE["mlp-sinusoid"]
X, Y = CLASSES.samples(10, seed=1)
QUERY, _ = CLASSES.samples(6, seed=2)
WAVE_X, WAVE_Y = SINUSOID.samples(10, seed=1)


def with_losses(runner: Runner, losses: Any, **values: Any) -> Learner:
    return runner.init._with_state(values, np.array(losses, np.float32), runner.manifest.ways)


def test_a_rate_too_high_is_refused_and_the_learner_from_before_is_there(
    classifier: Runner,
) -> None:
    learner = classifier.adapt(X, Y, steps=3)
    before = learner.predict_logits(QUERY)
    with pytest.raises(
        AdaptationError, match=r"the support loss rose: got .* in 5 steps"
    ) as caught:
        classifier.adapt(X, Y, lr_scale=MAX_LR_SCALE, state=learner)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert caught.value.losses.shape == (6,)
    assert caught.value.losses[-1] > caught.value.losses[0]
    assert caught.value.learner is learner
    assert np.array_equal(learner.predict_logits(QUERY), before)


def test_a_loss_that_is_not_finite_is_refused(regressor: Runner) -> None:
    with pytest.raises(AdaptationError, match=r"not finite: got .* -> (nan|inf)") as caught:
        regressor.adapt(WAVE_X, WAVE_Y, steps=50, lr_scale=MAX_LR_SCALE)
    want = regressor.init.predict(WAVE_X)
    assert np.array_equal(caught.value.learner.predict(WAVE_X), want)


def test_whoever_asks_for_it_gets_what_came_out(regressor: Runner) -> None:
    learner = regressor.adapt(WAVE_X, WAVE_Y, steps=50, lr_scale=MAX_LR_SCALE, guard=False)
    assert not np.isfinite(learner.losses[-1])


def test_the_error_crosses_a_process(classifier: Runner) -> None:
    with pytest.raises(AdaptationError) as caught:
        classifier.adapt(X, Y, lr_scale=MAX_LR_SCALE)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    assert str(again) == str(caught.value)
    assert np.array_equal(again.losses, caught.value.losses)


@given(first=st.floats(1e-6, 1e6), share=st.floats(0, 3))
def test_the_last_loss_decides(classifier: Runner, first: float, share: float) -> None:
    learner = with_losses(classifier, [first, 1e9, first * share])
    limit = first * (1 + RISE) + SLACK
    if abs(first * share - limit) < 1e-6 * limit:
        return  # float32
    if first * share < limit:
        check_progress(classifier.init, learner, Y)
    else:
        with pytest.raises(AdaptationError):
            check_progress(classifier.init, learner, Y)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_slack_of_a_regression_is_in_the_unit_of_its_targets(
    regressor: Runner, unit: float
) -> None:
    power = float(np.mean((WAVE_Y * unit) ** 2))
    fine = with_losses(regressor, [0, SLACK * power * 0.99])
    check_progress(regressor.init, fine, WAVE_Y * np.float32(unit))
    rising = with_losses(regressor, [0, SLACK * power * 1.01])
    with pytest.raises(AdaptationError):
        check_progress(regressor.init, rising, WAVE_Y * np.float32(unit))


def test_a_state_that_is_not_finite_is_refused_though_its_loss_is(classifier: Runner) -> None:
    values = classifier.init.state_dict()
    check_progress(classifier.init, with_losses(classifier, [1, 0], **values), Y)
    next(iter(values.values())).flat[3] = np.nan
    with pytest.raises(AdaptationError, match="the state is not finite"):
        check_progress(classifier.init, with_losses(classifier, [1, 0], **values), Y)


def test_no_step_and_no_rate_are_never_refused(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y)
    for options in ({"steps": 0}, {"lr_scale": 0.0}):
        same = classifier.adapt(X, 4 - Y, state=learner, **options)
        assert np.array_equal(same.predict_logits(QUERY), learner.predict_logits(QUERY))


def test_a_holdout_that_gets_worse_keeps_the_learner_from_before(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y, steps=100)
    assert np.array_equal(learner.predict(X), Y)
    better = classifier.adapt(X, Y, steps=1, state=learner, holdout=(X, Y))
    assert better.losses[-1] < learner.losses[0]
    with pytest.raises(
        AdaptationError, match=r"holdout worse: got \d of 10 right, expected at least 10"
    ) as e:
        classifier.adapt(X, (Y + 1) % 5, steps=50, state=learner, holdout=(X, Y))
    assert e.value.learner is learner
    assert len(e.value.losses) == 51


def test_the_holdout_of_a_regression(regressor: Runner) -> None:
    learner = regressor.adapt(WAVE_X, WAVE_Y, steps=20, lr_scale=0.1)
    regressor.adapt(WAVE_X, WAVE_Y, lr_scale=0.1, state=learner, holdout=(WAVE_X, WAVE_Y))
    with pytest.raises(AdaptationError, match="holdout worse: got a loss of"):
        regressor.adapt(WAVE_X, WAVE_Y + 3, lr_scale=0.1, state=learner, holdout=(WAVE_X, WAVE_Y))


def test_a_holdout_that_cannot_be_used(classifier: Runner) -> None:
    with pytest.raises(InputError, match="holdout_x has the wrong shape"):
        classifier.adapt(X, Y, holdout=(X[:, 1:], Y))
    with pytest.raises(InputError, match="holdout_y has labels outside the task's classes"):
        classifier.adapt(X, Y, holdout=(X, Y + 1))
