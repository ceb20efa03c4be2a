from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgemeta import FewShotRegressor, InputError, NotFittedError, Runner
from tests.cases import CASE

X, Y = CASE["mlp-sinusoid"].samples(12, seed=1)


def test_it_predicts_what_the_runner_does(regressor: Runner) -> None:
    want = regressor.adapt(X, Y, steps=7, lr_scale=0.5).predict(X)
    estimator = FewShotRegressor(regressor, steps=7, lr_scale=0.5).fit(X, Y)
    assert np.array_equal(estimator.predict(X), want)
    assert np.array_equal(estimator.fit(X, Y[:, 0]).predict(X), want[:, 0])
    assert np.array_equal(estimator.fit(X.tolist(), Y.tolist()).predict(X), want)
    assert estimator.n_features_in_ == 1


def test_later_samples_adapt_the_present_state(regressor: Runner) -> None:
    first = regressor.adapt(X[:6], Y[:6])
    want = regressor.adapt(X[6:], Y[6:], state=first).predict(X)
    estimator = FewShotRegressor(regressor).partial_fit(X[:6], Y[:6]).partial_fit(X[6:], Y[6:])
    assert np.array_equal(estimator.predict(X), want)


def test_with_the_kept_samples_it_is_as_if_all_had_been_there(regressor: Runner) -> None:
    estimator = FewShotRegressor(regressor, keep_support=True).fit(X[:6], Y[:6])
    estimator.partial_fit(X[6:], Y[6:])
    assert np.array_equal(estimator.predict(X), regressor.adapt(X, Y).predict(X))
    with pytest.raises(InputError, match="keep_support was not set"):
        FewShotRegressor(regressor).fit(X, Y).set_params(keep_support=True).partial_fit(X, Y)


def test_the_score_is_the_coefficient_of_determination(regressor: Runner) -> None:
    from sklearn.metrics import r2_score

    estimator = FewShotRegressor(regressor, steps=20).fit(X, Y)
    assert estimator.score(X, Y) == pytest.approx(r2_score(Y, estimator.predict(X)))
    assert estimator.score(X, Y[:, 0]) == estimator.score(X, Y)
    assert estimator.score(X[:1], Y[:1]) == 0  # one sample is constant
    assert estimator.score(X[:1], estimator.predict(X[:1])) == 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        (Y[:-1], "wrong shape"),
        (np.zeros((12, 2)), "wrong shape"),
        (np.full(12, np.nan), "not finite"),
        (["a"] * 12, "must hold numbers"),
        ([[1, 2], [3]] * 6, "y is no array of numbers"),
    ],
)
def test_odd_targets_are_refused(regressor: Runner, y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FewShotRegressor(regressor).fit(X, y)


def test_other_bundles_and_too_early_predictions(regressor: Runner, classifier: Runner) -> None:
    with pytest.raises(NotFittedError, match="this FewShotRegressor is not fitted yet"):
        FewShotRegressor(regressor).predict(X)
    with pytest.raises(InputError, match="needs another bundle: got one for classification"):
        FewShotRegressor(classifier).fit(X, Y)
