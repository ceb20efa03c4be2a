from __future__ import annotations

import numpy as np
import pytest

from edgemeta import Runner, merging
from tests.cases import CASE, Compile

X, Y = CASE["mlp-shared"].samples(10, seed=1)
ROWS = "head.weight"


@pytest.fixture(scope="module")
def runner(compiled: Compile) -> Runner:
    return compiled(CASE["mlp-shared"]).runner


def test_a_shared_head_is_adapted_to_a_spare_class_too(
    runner: Runner, classifier: Runner, regressor: Runner
) -> None:
    assert merging.adapt(runner, X, Y, 5, None, 1.0).ways == 6
    assert merging.adapt(classifier, X, Y, 5, None, 1.0).ways == 5
    x, y = CASE["mlp-sinusoid"].samples(4, seed=1)
    assert merging.adapt(regressor, x, y, None, None, 1.0).ways is None


def test_states_are_averaged_by_their_samples(runner: Runner) -> None:
    old = merging.adapt(runner, X, Y, 5, None, 1.0)
    new = merging.adapt(runner, X[:4], Y[:4], 7, None, 1.0)
    merged = merging.merge(runner, old, 12, new, 4)
    assert merged.ways == 8
    before, apart, after = (learner.state_dict() for learner in (old, new, merged))
    for name, value in after.items():
        one = before[name]
        if name.startswith("head"):  # the classes 5 and 6 are what the spare class was
            one = np.concatenate([one, one[-1:], one[-1:]])
        np.testing.assert_allclose(value, 0.75 * one + 0.25 * apart[name], atol=1e-6)  # float32
        assert value.dtype == np.float32
    assert np.array_equal(old.state_dict()[ROWS], before[ROWS])


def test_merging_is_in_no_order(runner: Runner) -> None:
    parts = [merging.adapt(runner, X[k::3], Y[k::3], 5, None, 1.0) for k in range(3)]
    there = merging.merge(runner, merging.merge(runner, parts[0], 4, parts[1], 3), 7, parts[2], 3)
    back = merging.merge(runner, merging.merge(runner, parts[2], 3, parts[1], 3), 6, parts[0], 4)
    for name, value in there.state_dict().items():
        np.testing.assert_allclose(back.state_dict()[name], value, atol=1e-6)  # float32


def test_a_class_without_its_row_leaves_the_others_as_they_are(runner: Runner) -> None:
    learner = merging.adapt(runner, X, Y, 5, None, 1.0)
    want = np.delete(learner.predict_logits(X), 2, 1)
    less = merging.without(runner, learner, 2)
    assert less.ways == 5
    np.testing.assert_allclose(less.predict_logits(X), want, atol=1e-5)  # float32, another width


def test_the_spare_row_comes_off_and_on(runner: Runner, classifier: Runner) -> None:
    learner = merging.adapt(runner, X, Y, 5, None, 1.0)
    rows = merging.spare_rows(runner, learner)
    assert {name: row.shape[0] for name, row in rows.items()} == {ROWS: 1, "head.bias": 1}
    again = merging.with_spare(runner, merging.without(runner, learner, -1), rows)
    assert again.ways == 6
    assert np.array_equal(again.predict_logits(X), learner.predict_logits(X))
    fixed = classifier.adapt(X, Y)
    assert merging.spare_rows(classifier, fixed) == {}
    same = merging.with_spare(classifier, fixed, {})
    assert np.array_equal(same.predict_logits(X), fixed.predict_logits(X))
