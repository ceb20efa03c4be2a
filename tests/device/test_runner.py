from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta import InputError, Runner
from tests.cases import CASE

CLASSES, SINUSOID = CASE["mlp-classes"], CASE["mlp-sinusoid"]
X, Y = CLASSES.samples(10, seed=1)
QUERY, _ = CLASSES.samples(6, seed=2)


def test_adapting_lowers_the_support_loss(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y, steps=8)
    assert learner.losses.shape == (9,)
    assert learner.losses.dtype == np.float32
    assert learner.losses[-1] < learner.losses[0]


def test_predictions_have_the_promised_shapes(classifier: Runner, regressor: Runner) -> None:
    learner = classifier.adapt(X, Y)
    logits, labels = learner.predict_logits(QUERY), learner.predict(QUERY)
    probabilities = learner.predict_proba(QUERY)
    assert logits.shape == (6, 5)
    assert logits.dtype == np.float32
    assert labels.shape == (6,)
    assert labels.dtype == np.int64
    assert np.array_equal(labels, logits.argmax(1))
    assert np.array_equal(labels, probabilities.argmax(1))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)  # six float32 roundings
    x, y = SINUSOID.samples(4, seed=1)
    output = regressor.adapt(x, y).predict(x)
    assert output.shape == (4, 1)
    assert output.dtype == np.float32
    with pytest.raises(InputError, match="predict_proba is for classification"):
        regressor.init.predict_proba(x)


def test_the_default_number_of_steps_is_the_bundles(classifier: Runner) -> None:
    assert classifier.manifest.inner_steps == 5
    assert len(classifier.adapt(X, Y).losses) == 6


def test_the_runner_and_older_learners_never_change(classifier: Runner) -> None:
    init = classifier.init.predict_logits(QUERY)
    first = classifier.adapt(X, Y, steps=1)
    before = first.predict_logits(QUERY)
    second = classifier.adapt(X, np.roll(Y, 1), steps=3, state=first)
    assert not np.array_equal(second.predict_logits(QUERY), before)
    assert np.array_equal(first.predict_logits(QUERY), before)
    assert np.array_equal(classifier.init.predict_logits(QUERY), init)
    assert np.array_equal(classifier.adapt(X, Y, steps=1).predict_logits(QUERY), before)


def test_a_state_dict_is_a_copy(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y)
    before = learner.predict_logits(QUERY)
    for tensor in learner.state_dict().values():
        tensor[...] = 0
    assert np.array_equal(learner.predict_logits(QUERY), before)


def test_the_callers_arrays_are_free_after_the_call(classifier: Runner) -> None:
    x, y, query = X.copy(), Y.copy(), QUERY.copy()
    learner = classifier.adapt(x, y)
    logits = learner.predict_logits(query)
    kept = logits.copy()
    x[...], y[...], query[...] = 0, 0, 0
    assert np.array_equal(logits, kept)
    assert np.array_equal(learner.predict_logits(QUERY), kept)


def test_one_thread_and_two_agree(classifier: Runner) -> None:
    """Sums may be split among threads, so the same bits are promised for the same number only."""
    results: list[NDArray[np.float32]] = []
    for threads in (1, 1, 2, 2):
        runner = Runner(classifier.path, threads=threads)
        results.append(runner.adapt(X, Y, steps=5).predict_logits(QUERY))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[2], results[3])
    np.testing.assert_allclose(results[0], results[2], rtol=1e-4, atol=1e-5)  # order of summation


def test_the_callers_layout_does_not_matter(classifier: Runner) -> None:
    want = classifier.adapt(X, Y).predict_logits(QUERY)
    strided = np.asfortranarray(X)
    assert np.array_equal(classifier.adapt(strided, Y.tolist()).predict_logits(QUERY), want)
    wider = classifier.adapt(X.astype(np.int32), Y.astype(np.uint8))
    assert np.array_equal(wider.predict_logits(QUERY.astype(np.int64)), want)


def test_a_learner_of_another_bundle_is_refused(classifier: Runner, regressor: Runner) -> None:
    x, y = SINUSOID.samples(4, seed=1)
    with pytest.raises(InputError, match="state belongs to another bundle"):
        classifier.adapt(X, Y, state=regressor.adapt(x, y))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads must be a positive integer"),
        ({"threads": 1.5}, "threads must be a positive integer"),
        ({"providers": []}, "providers cannot be used"),
        ({"providers": ["NoSuchExecutionProvider"]}, "providers cannot be used"),
        ({"providers": "CPUExecutionProvider"}, "providers cannot be used"),
    ],
)
def test_odd_options_are_refused(
    classifier: Runner, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Runner(classifier.path, **options)  # type: ignore[arg-type]


def test_a_provider_may_be_named(classifier: Runner) -> None:
    named = Runner(classifier.path, providers=["CPUExecutionProvider"], threads=1)
    assert np.array_equal(named.adapt(X, Y).predict(QUERY), classifier.adapt(X, Y).predict(QUERY))


def test_a_path_may_be_a_string(classifier: Runner) -> None:
    assert Runner(str(classifier.path)).path == Path(classifier.path)
