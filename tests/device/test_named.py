"""Bundles that name their classes: the init predicts, and what is learned keeps the meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta import BundleError, FewShotClassifier, InputError, Runner
from edgemeta.estimators._familiarity import for_all
from tests.named import NAMES, drawings, renamed

X, Y = drawings(3, seed=1)
QUERY, TRUTH = drawings(10, seed=2)
TRUE_NAMES = [NAMES[k] for k in TRUTH]
FEW = Y < 3  # samples of three classes of five


def named_as(y: Any) -> list[str]:
    return [NAMES[k] for k in y]


def test_the_init_predicts_by_name(named: Runner) -> None:
    assert named.manifest.labels == named.init.labels == NAMES
    assert np.mean(named.init.predict(QUERY) == TRUTH) > 0.95


def test_a_learner_inherits_the_names(named: Runner, tmp_path: Path) -> None:
    learner = named.adapt(X[FEW], Y[FEW])
    assert learner.labels == named.adapt(X, Y, state=learner.freeze()).labels == NAMES
    assert learner.ways == len(NAMES)
    assert np.mean(learner.predict(QUERY) == TRUTH) > 0.95
    learner.save(tmp_path / "mine.safetensors")
    assert named.load(tmp_path / "mine.safetensors").labels == NAMES
    learner.save(tmp_path / "mine.safetensors", ["eins", "zwei"])
    assert named.load(tmp_path / "mine.safetensors").labels == ("eins", "zwei")
    first = named.adapt(X[FEW], Y[FEW], ways=3)
    assert first.labels == NAMES[:3]
    first.save(tmp_path / "mine.safetensors", [])
    assert named.load(tmp_path / "mine.safetensors").labels == ()


def test_other_bundles_have_no_names(classifier: Runner) -> None:
    assert classifier.manifest.labels is None
    assert classifier.init.labels is None
    assert b'"labels"' not in classifier.manifest.to_json()


def test_a_classifier_knows_all_classes_of_the_bundle(named: Runner) -> None:
    classifier = FewShotClassifier(named).fit(X[FEW], named_as(Y[FEW]))
    assert classifier.classes_.tolist() == list(NAMES)
    assert classifier.score(QUERY, TRUE_NAMES) > 0.95
    assert set(classifier.predict(QUERY[TRUTH >= 3])) >= {"slope", "tee"}
    # The order of the bundle, not that of the samples.
    turned = FewShotClassifier(named).fit(X[FEW][::-1], named_as(Y[FEW])[::-1])
    assert turned.classes_.tolist() == list(NAMES)
    np.testing.assert_allclose(
        turned.predict_proba(QUERY), classifier.predict_proba(QUERY), atol=1e-5
    )
    learner, plain = named.adapt(X[FEW], Y[FEW]), FewShotClassifier(named, calibrate=False)
    found = plain.fit(X[FEW], named_as(Y[FEW])).predict_proba(QUERY)
    np.testing.assert_allclose(found, learner.predict_proba(QUERY), atol=1e-6)  # of float32


def test_other_labels_than_the_bundles_are_refused(named: Runner) -> None:
    classifier = FewShotClassifier(named).fit(X, named_as(Y))
    before = classifier.predict_proba(QUERY)
    why = "no such class: got 'crosss', expected one of bar, box, .*; did you mean 'cross'"
    with pytest.raises(InputError, match=why):
        classifier.fit(X, ["crosss", *named_as(Y)[1:]])
    with pytest.raises(InputError, match=why):
        classifier.partial_fit(X, named_as(Y), classes=["crosss"])
    with pytest.raises(InputError, match="no such class: got 0, expected one of bar"):
        classifier.fit(X, Y)
    assert np.array_equal(classifier.predict_proba(QUERY), before)


@pytest.mark.parametrize("kept", [False, True])
def test_later_samples_do_not_make_it_forget(named: Runner, kept: bool) -> None:
    classifier = FewShotClassifier(named, keep_support=kept)
    for part in (FEW, Y == 4):
        classifier.partial_fit(X[part], named_as(Y[part]))
    at_once = FewShotClassifier(named).fit(X[FEW | (Y == 4)], named_as(Y[FEW | (Y == 4)]))
    assert classifier.classes_.tolist() == list(NAMES)
    assert classifier.score(QUERY, TRUE_NAMES) > 0.95
    # Three steps through two layers: an average of states is close to what all samples give.
    np.testing.assert_allclose(
        classifier.familiarity(QUERY), at_once.familiarity(QUERY), rtol=0.05, atol=0.05
    )


def test_a_forgotten_class_is_as_the_bundle_has_it(named: Runner) -> None:
    classifier = FewShotClassifier(named, keep_support=True).fit(X[FEW], named_as(Y[FEW]))
    never = FewShotClassifier(named).fit(X[Y < 2], named_as(Y[Y < 2]))
    classifier.forget("cross")
    assert classifier.classes_.tolist() == list(NAMES)
    np.testing.assert_allclose(classifier.predict_proba(QUERY), never.predict_proba(QUERY))
    with pytest.raises(InputError, match="fixed width cannot forget"):
        never.forget("bar")
    with pytest.raises(InputError, match="no other class has samples"):
        classifier.forget("bar").forget("box")


def test_a_class_without_samples_is_familiar_too(named: Runner) -> None:
    classifier = FewShotClassifier(named, reject=0.3).fit(X[FEW], named_as(Y[FEW]))
    familiarity = classifier.familiarity(QUERY)
    for k in range(len(NAMES)):
        assert 0.6 < familiarity[k == TRUTH].mean() < 1.4
    assert classifier.score(QUERY, TRUE_NAMES) > 0.95


def test_leads_of_classes_without_samples() -> None:
    lead, samples = np.array([2, 0, 4, 9], np.float32), np.array([1, 0, 3, 0])
    assert for_all(lead, samples).tolist() == [2, 3, 4, 3]
    assert for_all(lead, samples).dtype == np.float32


def test_calibrated_if_the_classes_with_samples_have_two(named: Runner) -> None:
    fit = FewShotClassifier(named).fit
    assert fit(X[FEW], named_as(Y[FEW])).calibrated_
    assert not fit(X[Y == 1], named_as(Y[Y == 1])).calibrated_
    assert not fit(X[[0, 1, 3]], named_as(Y[[0, 1, 3]])).calibrated_
    assert fit(X[[0, 1, 9, 10]], named_as(Y[[0, 1, 9, 10]])).calibrated_


def test_a_classifiers_file_has_the_bundles_classes(named: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    classifier = FewShotClassifier(named).fit(X[FEW], named_as(Y[FEW]))
    classifier.save(path)
    loaded = FewShotClassifier(named).load(path)
    for method in ("predict_proba", "familiarity"):
        want = getattr(classifier, method)(QUERY)
        assert np.array_equal(getattr(loaded, method)(QUERY), want)
    assert named.load(path).labels == NAMES
    loaded.partial_fit(X[Y == 4], named_as(Y[Y == 4]))
    assert loaded.score(QUERY, TRUE_NAMES) > 0.95
    renamed(named, path, [*NAMES[:-1], "another"])
    with pytest.raises(BundleError, match="got other classes than the bundle's"):
        FewShotClassifier(named).load(path)
