"""On the packaged bundle, whose classes are handwritten characters, and embedded glyphs."""

from __future__ import annotations

import pickle
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import edgemeta
from edgemeta import FewShotClassifier, InputError, NotFittedError, Runner
from edgemeta.tasks import EpisodeSize, open_tasks
from tests.cases import CASE, Compile

WAYS = 6
EPISODE = open_tasks("glyphs").episode("test", EpisodeSize(WAYS, 3, 8), seed=1, index=0)
X, NUMBERS, QUERY_X, QUERY_Y = EPISODE
NAMES: list[Hashable] = ["ada", 7, ("x", 2), None, "bob", -1.0]
Y = [NAMES[k] for k in NUMBERS]
QUERY_NAMES = [NAMES[k] for k in QUERY_Y]
OLD = NUMBERS < WAYS - 2  # all but the last two classes
# Logits are some 10 and more, of float32, summed in another order.
CLOSE = 1e-4


@pytest.fixture(scope="module")
def runner() -> Runner:
    return edgemeta.load("omniglot", threads=1)


@pytest.fixture(scope="module")
def fixed(compiled: Compile) -> Runner:
    """A head of five classes, all of whose layers adapt."""
    return compiled(CASE["mlp-classes"]).runner


def of(y: list[Hashable], mask: NDArray[np.bool_]) -> list[Hashable]:
    return [label for label, here in zip(y, mask, strict=True) if here]


def centred(classifier: FewShotClassifier, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logits less their mean over classes, which no prediction depends on."""
    logits = np.log(classifier.predict_proba(x)) * classifier.temperature_
    result: NDArray[np.float64] = logits - logits.mean(1, keepdims=True)
    return result


def test_labels_of_any_type_are_learned(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X, Y)
    assert classifier.classes_.tolist() == NAMES
    found = classifier.predict(QUERY_X)
    assert found.shape == (len(QUERY_X),)
    right = np.mean([got == want for got, want in zip(found, QUERY_NAMES, strict=True)])
    assert classifier.score(QUERY_X, QUERY_NAMES) == right > 0.8
    assert np.array_equal(found, classifier.classes_[classifier.predict_proba(QUERY_X).argmax(1)])


def test_classes_count_alike_however_many_samples_they_have(runner: Runner) -> None:
    few = np.flatnonzero((NUMBERS == 0) | (np.arange(len(X)) % 3 == 0))
    assert np.bincount(NUMBERS[few]).tolist() == [3, 1, 1, 1, 1, 1]
    learner = runner.adapt(X[few], NUMBERS[few])  # the guard finds nothing wrong with it
    right = np.mean(learner.predict(QUERY_X) == QUERY_Y)
    one_each = few[2:]
    alike = runner.adapt(X[one_each], NUMBERS[one_each])
    assert right > np.mean(alike.predict(QUERY_X) == QUERY_Y) - 0.05
    assert FewShotClassifier(runner).fit(X[few], NUMBERS[few]).score(QUERY_X, QUERY_Y) == right


def test_it_predicts_what_the_runner_does(runner: Runner) -> None:
    learner = runner.adapt(X, NUMBERS)
    classifier = FewShotClassifier(runner, calibrate=False).fit(X, NUMBERS)
    np.testing.assert_allclose(
        classifier.predict_proba(QUERY_X), learner.predict_proba(QUERY_X), atol=1e-5
    )  # the spare class shifts all logits of a sample alike: rounding of some 10 to 1e-6


@pytest.mark.parametrize("kept", [False, True])
def test_classes_and_samples_that_come_later_are_as_if_they_were_always_there(
    runner: Runner, kept: bool
) -> None:
    """One step of a linear head: the average of states is the state of all samples."""
    at_once = FewShotClassifier(runner, calibrate=False).fit(X, Y)
    bit_by_bit = FewShotClassifier(runner, keep_support=kept, calibrate=False)
    for part in (OLD & (np.arange(len(X)) % 3 > 0), ~OLD, OLD & (np.arange(len(X)) % 3 == 0)):
        bit_by_bit.partial_fit(X[part], of(Y, part))
    assert bit_by_bit.classes_.tolist() == NAMES
    np.testing.assert_allclose(
        centred(bit_by_bit, QUERY_X), centred(at_once, QUERY_X), rtol=CLOSE, atol=CLOSE
    )


@settings(max_examples=20, deadline=None)  # what else the machine does decides the time
@given(
    order=st.permutations(range(len(X))),
    cuts=st.sets(st.integers(1, len(X) - 1), max_size=6),
    kept=st.booleans(),
    gone=st.sampled_from([None, *range(WAYS)]),
)
def test_no_order_of_lessons_matters(
    runner: Runner, order: list[int], cuts: set[int], kept: bool, gone: int | None
) -> None:
    """A class that is forgotten midway may come again: then with the samples from there on."""
    classifier = FewShotClassifier(runner, keep_support=kept, calibrate=False)
    lessons = np.split(np.array(order), sorted(cuts))
    counted: list[int] = []
    for lesson in lessons:
        classifier.partial_fit(X[lesson], NUMBERS[lesson])
        counted.extend(lesson)
        if lesson is lessons[len(lessons) // 2] and gone in classifier.classes_[1:]:
            classifier.forget(gone)
            counted = [k for k in counted if NUMBERS[k] != gone]
    at_once = FewShotClassifier(runner, calibrate=False).fit(X[counted], NUMBERS[counted])
    columns = np.argsort(classifier.classes_)
    assert np.array_equal(classifier.classes_[columns], at_once.classes_)
    found = centred(classifier, QUERY_X)[:, columns]
    np.testing.assert_allclose(found, centred(at_once, QUERY_X), rtol=CLOSE, atol=10 * CLOSE)


def test_classes_may_be_named_before_they_have_samples(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).partial_fit(X[OLD], of(Y, OLD), classes=NAMES)
    assert set(classifier.classes_) == set(NAMES)
    assert set(classifier.predict(QUERY_X)) <= set(of(Y, OLD))
    classifier.partial_fit(X[~OLD], of(Y, ~OLD))
    assert classifier.score(QUERY_X, QUERY_NAMES) > 0.8


@pytest.mark.parametrize("kept", [False, True])
def test_a_forgotten_class_is_as_if_it_had_never_been(runner: Runner, kept: bool) -> None:
    classifier = FewShotClassifier(runner, keep_support=kept).fit(X, Y)
    others = np.array([label != ("x", 2) for label in Y])
    never = FewShotClassifier(runner, calibrate=False).fit(X[others], of(Y, others))
    assert classifier.forget(("x", 2)) is classifier
    assert ("x", 2) not in classifier.classes_.tolist()
    np.testing.assert_allclose(
        centred(classifier, QUERY_X), centred(never, QUERY_X), rtol=CLOSE, atol=CLOSE
    )
    classifier.partial_fit(X[~others], of(Y, ~others))
    assert classifier.score(QUERY_X, QUERY_NAMES) > 0.8


def test_what_cannot_be_forgotten(runner: Runner, fixed: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X[NUMBERS == 0], ["ada"] * 3)
    with pytest.raises(InputError, match="no such class: got 'adda'; did you mean 'ada'"):
        classifier.forget("adda")
    with pytest.raises(InputError, match="only class"):
        classifier.forget("ada")
    with pytest.raises(InputError, match="no other class has samples"):
        FewShotClassifier(runner, keep_support=True).fit(X[:1], ["ada"]).forget("ada")
    few = NUMBERS < 3
    with pytest.raises(InputError, match="fixed width cannot forget"):
        FewShotClassifier(fixed).fit(X[few], NUMBERS[few]).forget(1)
    able = FewShotClassifier(fixed, keep_support=True).fit(X[few], NUMBERS[few]).forget(1)
    assert able.classes_.tolist() == [0, 2]


def test_a_head_of_fixed_width_takes_classes_up_to_it(fixed: Runner) -> None:
    three, five = NUMBERS < 3, NUMBERS < 5
    classifier = FewShotClassifier(fixed).fit(X[three], NUMBERS[three])
    assert classifier.predict_proba(QUERY_X).shape == (len(QUERY_X), 3)
    classifier.partial_fit(X[five & ~three], NUMBERS[five & ~three])
    assert classifier.classes_.tolist() == [0, 1, 2, 3, 4]
    assert set(classifier.predict(QUERY_X)) <= {0, 1, 2, 3, 4}
    before = classifier.predict_proba(QUERY_X)
    with pytest.raises(InputError, match="more classes than the bundle can tell apart: got 6"):
        classifier.partial_fit(X[~five], NUMBERS[~five])
    assert np.array_equal(classifier.predict_proba(QUERY_X), before)


def test_one_class_alone_can_be_learned(runner: Runner, fixed: Runner) -> None:
    for bundle in (runner, fixed):
        classifier = FewShotClassifier(bundle).fit(X[:2], ["ada", "ada"])
        assert np.array_equal(classifier.predict_proba(QUERY_X), np.ones((len(QUERY_X), 1)))
        classifier.set_params(reject=0.8)
        assert set(classifier.predict(QUERY_X)) == {"ada", "unknown"}


def test_what_is_unlike_all_classes_is_unknown(runner: Runner) -> None:
    classifier = FewShotClassifier(runner, reject=0.8).fit(X[OLD], of(Y, OLD))
    known = QUERY_Y < WAYS - 2
    familiarity = classifier.familiarity(QUERY_X)
    assert familiarity[known].mean() > familiarity[~known].mean() + 0.1
    found = classifier.predict(QUERY_X)
    assert np.array_equal(found == "unknown", familiarity < 0.8)
    truth = [name if here else "unknown" for name, here in zip(QUERY_NAMES, known, strict=True)]
    kept = classifier.score(QUERY_X, truth)
    assert kept > classifier.set_params(reject=None).score(QUERY_X, truth)
    assert classifier.set_params(reject=0).score(QUERY_X, truth) < kept


@pytest.mark.parametrize(
    ("labels", "unknown", "kind"), [("abcdef", "?", "U"), (range(6), -1, "i"), (range(6), "?", "O")]
)
def test_the_unknown_label_may_be_any(runner: Runner, labels: Any, unknown: Any, kind: str) -> None:
    y = [labels[k] for k in NUMBERS]
    classifier = FewShotClassifier(runner, reject=1e9, unknown_label=unknown).fit(X, y)
    found = classifier.predict(QUERY_X)
    assert found.tolist() == [unknown] * len(QUERY_X)
    assert found.dtype.kind == kind


def test_familiarity_is_1_at_the_support_set(runner: Runner) -> None:
    """By its definition, on average over the samples of each class that wins all of them."""
    classifier = FewShotClassifier(runner).fit(X, NUMBERS)
    familiarity, found = classifier.familiarity(X), classifier.predict(X)
    won = [k for k in range(WAYS) if (found[k == NUMBERS] == k).all()]
    assert len(won) > 3
    for k in won:
        assert familiarity[k == NUMBERS].mean() == pytest.approx(1, abs=1e-5)  # float32
    # Who adds classes without the old samples still knows what they scored.
    later = FewShotClassifier(runner).fit(X[OLD], NUMBERS[OLD])
    later.partial_fit(X[~OLD], NUMBERS[~OLD])
    np.testing.assert_allclose(
        later.familiarity(QUERY_X), classifier.familiarity(QUERY_X), rtol=CLOSE, atol=CLOSE
    )


@pytest.mark.parametrize("threshold", ["0.5", -0.1, np.nan, np.inf])
def test_odd_thresholds_are_refused(runner: Runner, threshold: Any) -> None:
    classifier = FewShotClassifier(runner, reject=threshold).fit(X, Y)
    with pytest.raises(InputError, match="reject is out of range"):
        classifier.predict(QUERY_X)


def test_probabilities_are_calibrated_or_say_that_they_are_not(runner: Runner) -> None:
    one_shot = np.arange(len(X)) % 3 == 0
    # A twentieth of the rate makes the probabilities of the bundle far too even.
    classifier = FewShotClassifier(runner, lr_scale=0.05)
    assert not classifier.fit(X[one_shot], NUMBERS[one_shot]).calibrated_
    assert classifier.temperature_ == 1
    assert classifier.fit(X, NUMBERS).calibrated_
    assert classifier.temperature_ != 1
    cold = classifier.predict_proba(QUERY_X)
    classifier.set_params(calibrate=False).fit(X, NUMBERS)
    plain = classifier.predict_proba(QUERY_X)
    assert not classifier.calibrated_
    loss = [-np.log(p[np.arange(len(p)), QUERY_Y]).mean() for p in (cold, plain)]
    assert loss[0] < 0.7 * loss[1]
    assert not classifier.set_params(calibrate=True).partial_fit(X, NUMBERS).calibrated_


@pytest.mark.parametrize("method", ["predict", "predict_proba", "familiarity"])
def test_nothing_is_predicted_before_fit(runner: Runner, method: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet; call fit or load first") as error:
        getattr(FewShotClassifier(runner), method)(QUERY_X)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, AttributeError)


def test_what_fails_leaves_what_was_learned(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X, Y)
    before = classifier.predict_proba(QUERY_X)
    for call in (classifier.fit, classifier.partial_fit):
        with pytest.raises(InputError):
            call(X, Y[:-1])
        classifier.set_params(steps=-1)
        with pytest.raises(InputError, match="steps"):
            call(X, Y)
        classifier.set_params(steps=None)
    assert np.array_equal(classifier.predict_proba(QUERY_X), before)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 28, 27)), "wrong shape"),
        (np.zeros((28, 28)), "Reshape your data"),
        (np.zeros(784), "Reshape your data"),
        (3, "wrong shape"),
        (np.zeros((3, 783)), "X has 783 features, but FewShotClassifier is expecting 784"),
        (np.zeros((3, 0)), "0 feature"),
        (np.full((3, 784), np.nan), "NaN or infinity"),
        (np.zeros((3, 784)), "raw samples"),
        (np.zeros((3, 784), complex), "Complex"),
        (np.full((3, 784), "a"), "numbers"),
        ([[1, 2], [3]], "no array of numbers"),
        (np.array([[{}] * 784] * 3), "no array of numbers"),
    ],
)
def test_odd_samples_are_refused(runner: Runner, x: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FewShotClassifier(runner).fit(x, [1, 2, 3])


def test_samples_may_be_rows(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X.reshape(len(X), -1), Y)
    assert classifier.n_features_in_ == 784
    rows = QUERY_X.reshape(len(QUERY_X), -1).astype(object)
    assert np.array_equal(
        classifier.predict_proba(rows.astype(int)), classifier.predict_proba(QUERY_X)
    )


def test_the_bundle_may_be_a_path_a_name_or_a_runner(runner: Runner, regressor: Runner) -> None:
    want = FewShotClassifier(runner).fit(X, NUMBERS).predict_proba(QUERY_X)
    for bundle in ("omniglot", runner.path, str(runner.path)):
        found = FewShotClassifier(bundle, threads=1).fit(X, NUMBERS)
        assert np.array_equal(found.predict_proba(QUERY_X), want)
    with pytest.raises(InputError, match="threads are a runner's own"):
        FewShotClassifier(runner, threads=1).fit(X, Y)
    with pytest.raises(InputError, match="needs another bundle: got one for regression"):
        FewShotClassifier(regressor).fit(X, Y)
    with pytest.raises(edgemeta.BundleError, match="not a bundle"):
        FewShotClassifier("no such place").fit(X, Y)


def test_samples_are_predicted_alike_alone_and_together(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X, NUMBERS)
    together, alone = classifier.predict_proba(QUERY_X[:9]), [QUERY_X[k : k + 1] for k in range(9)]
    found = np.concatenate([classifier.predict_proba(x) for x in alone])
    np.testing.assert_allclose(found, together, atol=CLOSE)


def test_who_no_longer_keeps_the_support_set_has_none(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    classifier = FewShotClassifier(runner, keep_support=True).fit(X, NUMBERS)
    classifier.set_params(keep_support=False).save(path)
    with pytest.raises(InputError, match="has no support set"):
        FewShotClassifier(runner, keep_support=True).load(path)
    classifier.forget(2).set_params(keep_support=True)
    with pytest.raises(InputError, match="keep_support was not set"):
        classifier.forget(3)


def test_it_goes_to_another_process(runner: Runner) -> None:
    classifier = FewShotClassifier(runner, keep_support=True, reject=0.5).fit(X, Y)
    other = pickle.loads(pickle.dumps(classifier))  # noqa: S301  # our own
    assert other.runner_ is not runner
    assert np.array_equal(other.predict_proba(QUERY_X), classifier.predict_proba(QUERY_X))


def test_unknown_parameters_are_refused_whole(runner: Runner) -> None:
    classifier = FewShotClassifier(runner)
    with pytest.raises(InputError, match="did you mean 'reject'"):
        classifier.set_params(steps=3, rejekt=0.5)
    assert classifier.steps is None
    assert "reject=None" in repr(classifier)


def test_the_support_set_has_to_be_kept_from_the_start(runner: Runner) -> None:
    classifier = FewShotClassifier(runner).fit(X, Y).set_params(keep_support=True)
    with pytest.raises(InputError, match="keep_support was not set"):
        classifier.partial_fit(X, Y)
    with pytest.raises(InputError, match="keep_support was not set"):
        classifier.forget("ada")
