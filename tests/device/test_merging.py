from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta import Runner
from edgemeta.estimators import _merging as merging
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


def counted(y: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    return np.bincount(y, minlength=classes)


def test_states_are_averaged_by_their_samples(runner: Runner) -> None:
    """Classes 0 to 4 have two samples each before; one of 0 to 3 comes, none of 5 and 6."""
    old = merging.adapt(runner, X, Y, 5, None, 1.0)
    few = np.array([np.flatnonzero(k == Y)[0] for k in range(4)])
    new = merging.adapt(runner, X[few], Y[few], 7, None, 1.0)
    merged = merging.merge(runner, old, counted(Y, 5), new, counted(Y[few], 7))
    assert merged.ways == 8
    before, apart, after = (learner.state_dict() for learner in (old, new, merged))
    for name, value in after.items():
        assert value.dtype == np.float32
        if not name.startswith("head"):  # a third of four classes' samples is new, none of one's
            want = before[name] + (4 / 3 / 5) * (apart[name] - before[name])
            np.testing.assert_allclose(value, want, atol=1e-6)  # float32
            continue
        was, came, lead = (rows[:-1] - rows[-1] for rows in (before[name], apart[name], value))
        np.testing.assert_allclose(lead[:4], 2 / 3 * was[:4] + 4 / 5 / 3 * came[:4], atol=1e-6)
        np.testing.assert_allclose(lead[4], was[4], atol=1e-6)
        np.testing.assert_allclose(lead[5:], 0, atol=1e-6)
        init = runner.init.state_dict()[name]
        np.testing.assert_allclose(value.mean(0, keepdims=True), init, atol=1e-6)
    assert np.array_equal(old.state_dict()[ROWS], before[ROWS])


def test_merging_is_in_no_order(runner: Runner) -> None:
    parts = [merging.adapt(runner, X[k::3], Y[k::3], 5, None, 1.0) for k in range(3)]
    a, b, c = (counted(Y[k::3], 5) for k in range(3))
    there = merging.merge(runner, parts[0], a, parts[1], b)
    there = merging.merge(runner, there, a + b, parts[2], c)
    back = merging.merge(runner, parts[2], c, parts[1], b)
    back = merging.merge(runner, back, c + b, parts[0], a)
    for name in (ROWS, "head.bias"):
        np.testing.assert_allclose(  # float32
            back.state_dict()[name], there.state_dict()[name], atol=1e-6
        )


def test_a_forgotten_class_leaves_what_the_others_are_among_themselves(runner: Runner) -> None:
    learner = merging.adapt(runner, X, Y, 5, None, 1.0)
    less = merging.forgotten(runner, learner, 2, 5 / 4)
    assert less.ways == 5
    leads = [
        logits[:, :-1] - logits[:, -1:]
        for logits in (np.delete(learner.predict_logits(X), 2, 1), less.predict_logits(X))
    ]
    np.testing.assert_allclose(leads[1], leads[0] * 5 / 4, atol=1e-5)  # float32, another width


def test_the_spare_row_comes_off_and_on(runner: Runner, classifier: Runner) -> None:
    learner = merging.adapt(runner, X, Y, 5, None, 1.0)
    rows = merging.spare_rows(runner, learner)
    assert {name: row.shape[0] for name, row in rows.items()} == {ROWS: 1, "head.bias": 1}
    again = merging.with_spare(runner, merging.without_spare(runner, learner), rows)
    assert again.ways == 6
    assert np.array_equal(again.predict_logits(X), learner.predict_logits(X))
    fixed = classifier.adapt(X, Y)
    assert merging.spare_rows(classifier, fixed) == {}
    same = merging.with_spare(classifier, merging.without_spare(classifier, fixed), {})
    assert np.array_equal(same.predict_logits(X), fixed.predict_logits(X))
