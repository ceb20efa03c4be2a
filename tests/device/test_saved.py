"""Files of estimators: what `save` writes, `load` and `Runner.load` read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from edgemeta import BundleError, EdgemetaError, FewShotClassifier, FewShotRegressor, Runner
from edgemeta.bundle import EXTRA_PREFIX, STATE_DIGEST_KEY, STATE_NOTES_KEY
from edgemeta.bundle._tensor_file import digest
from edgemeta.errors import InputError
from edgemeta.estimators._saved import LEAD, SUPPORT_X, SUPPORT_Y
from tests.cases import CASE, Compile

X, NUMBERS = CASE["mlp-shared"].samples(10, seed=1)
QUERY, _ = CASE["mlp-shared"].samples(6, seed=2)
NAMES = np.array(["a", "b", "c", "d", "e"])


@pytest.fixture(scope="module", params=["mlp-shared", "mlp-classes"])
def runner(compiled: Compile, request: pytest.FixtureRequest) -> Runner:
    return compiled(CASE[request.param]).runner


def rewrite(path: Path, change: dict[str, Any], notes: dict[str, Any] | str | None) -> None:
    """Change tensors, where None takes one away, and notes of a file."""
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = {k: v for k, v in (load_file(path) | change).items() if v is not None}
    if isinstance(notes, dict):
        metadata[STATE_NOTES_KEY] = json.dumps(json.loads(metadata[STATE_NOTES_KEY]) | notes)
    elif notes is not None:
        metadata[STATE_NOTES_KEY] = notes
    del metadata[STATE_DIGEST_KEY]
    metadata[STATE_DIGEST_KEY] = digest(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize("kept", [False, True])
def test_a_classifier_comes_back(runner: Runner, tmp_path: Path, kept: bool) -> None:
    path = tmp_path / "mine.safetensors"
    few = NUMBERS < 3
    labels: list[Any] = [("north", 1), None, "x"]
    can_forget = kept or runner.manifest.any_ways
    classifier = FewShotClassifier(runner, keep_support=kept)
    classifier.fit(X[few], [labels[k] for k in NUMBERS[few]]).save(path)
    loaded = FewShotClassifier(runner, keep_support=kept).load(path)
    assert loaded.classes_.tolist() == classifier.classes_.tolist()
    assert loaded.calibrated_
    assert loaded.temperature_ == classifier.temperature_
    assert loaded.n_features_in_ == classifier.n_features_in_
    for method in ("predict_proba", "familiarity"):
        want = getattr(classifier, method)(QUERY)
        assert np.array_equal(getattr(loaded, method)(QUERY), want)
    for one in (loaded, classifier):
        one.partial_fit(X[~few], NAMES[NUMBERS[~few]])
    assert np.array_equal(loaded.predict_proba(QUERY), classifier.predict_proba(QUERY))
    assert loaded.calibrated_ == kept
    if can_forget:
        loaded.forget(labels[1])
    loaded.save(path)  # after lessons and forgetting, too
    again = FewShotClassifier(runner, keep_support=kept).load(path)
    assert np.array_equal(again.predict_proba(QUERY), loaded.predict_proba(QUERY))


@pytest.mark.parametrize("kept", [False, True])
def test_a_regressor_comes_back(regressor: Runner, tmp_path: Path, kept: bool) -> None:
    path = tmp_path / "mine.safetensors"
    x, y = CASE["mlp-sinusoid"].samples(8, seed=1)
    first = FewShotRegressor(regressor, keep_support=kept).fit(x[:4], y[:4, 0])
    first.save(path)
    loaded = FewShotRegressor(regressor, keep_support=kept).load(path)
    assert np.array_equal(loaded.predict(x), first.predict(x))
    for one in (loaded, first):
        one.partial_fit(x[4:], y[4:, 0])
    assert np.array_equal(loaded.predict(x), first.predict(x))


def test_a_runner_reads_it_as_a_learner(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    classifier = FewShotClassifier(runner, keep_support=True).fit(X, NAMES[NUMBERS])
    classifier.save(path)
    learner = runner.load(path)
    assert learner.ways == 5
    assert np.array_equal(NAMES[learner.predict(QUERY)], classifier.predict(QUERY))
    assert runner.load(path).labels == tuple(NAMES.tolist())


def test_the_support_set_is_in_the_file_only_if_it_is_kept(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    FewShotClassifier(runner).fit(X, NUMBERS).save(path)
    assert not {SUPPORT_X, SUPPORT_Y} & set(load_file(path))
    with pytest.raises(InputError, match="has no support set"):
        FewShotClassifier(runner, keep_support=True).load(path)
    FewShotClassifier(runner, keep_support=True).fit(X, NUMBERS).save(path)
    assert np.array_equal(load_file(path)[SUPPORT_X], X)
    # Who does not want to keep it does not find it again either.
    FewShotClassifier(runner).load(path).save(path)
    assert not {SUPPORT_X, SUPPORT_Y} & set(load_file(path))


def test_a_forgotten_sample_is_not_in_the_file(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    FewShotClassifier(runner, keep_support=True).fit(X, NAMES[NUMBERS]).forget("b").save(path)
    assert np.array_equal(load_file(path)[SUPPORT_X], X[NUMBERS != 1])
    assert b'"b"' not in path.read_bytes()


def test_a_label_without_json_is_refused_before_writing(runner: Runner, tmp_path: Path) -> None:
    classifier = FewShotClassifier(runner).fit(X, [NAMES[k].encode() for k in NUMBERS])
    with pytest.raises(InputError, match="label cannot be saved: got b'a'"):
        classifier.save(tmp_path / "mine.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(EdgemetaError, match="not fitted"):
        FewShotClassifier(runner).save(tmp_path / "mine.safetensors")


def test_a_plain_learners_file_has_no_labels(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    runner.adapt(X, NUMBERS).save(path)
    with pytest.raises(BundleError, match="state of a plain learner"):
        FewShotClassifier(runner).load(path)


def test_the_file_of_another_bundle(runner: Runner, regressor: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    FewShotClassifier(runner).fit(X, NUMBERS).save(path)
    with pytest.raises(BundleError, match="belongs to another bundle"):
        FewShotRegressor(regressor).load(path)


@pytest.mark.parametrize(
    ("tensors", "notes", "message"),
    [
        ({}, "no json", "Expecting value"),
        ({}, "[" * 100_000, "nested too deeply"),
        ({}, "[]", "a list"),
        ({}, {"more": 1}, "more"),
        ({}, {"labels": None}, "labels None"),
        ({}, {"labels": [1, 2, 3, 4, 5, 6, 7]}, "7 labels for"),
        ({}, {"labels": [1, 1, 1, 1, 1]}, "there twice"),
        ({}, {"labels": [{}, 1, 2, 3, 4]}, "label {}"),
        ({}, {"temperature": 0.0}, "temperature"),
        ({}, {"temperature": float("nan")}, "the number NaN"),
        ({}, {"temperature": "1"}, "temperature"),
        ({}, {"samples": 5}, "samples 5"),
        ({}, {"samples": [2, 2, 2, 2]}, "samples .2, 2, 2, 2."),
        ({}, {"samples": [0] * 5}, "samples .0, 0"),
        ({}, {"samples": [2, 2, 2, 2, True]}, "samples .* True"),
        ({}, {"samples": [2, 2, 2, 2, -1]}, "samples .* -1"),
        ({}, {"flat": 1}, "flat 1"),
        ({LEAD: None}, None, "lead"),
        ({LEAD: np.zeros(4, np.float32)}, None, "lead float32 .4,."),
        ({LEAD: np.zeros(5)}, None, "lead float64"),
        ({LEAD: np.full(5, np.nan, np.float32)}, None, "lead that is not finite"),
        ({SUPPORT_X: None}, None, "support_x"),
        ({SUPPORT_Y: None}, None, "support_y"),
        ({SUPPORT_X: X[:3].copy()}, None, "support_y int64 .10,., expected int64 .3,."),
        ({SUPPORT_X: X[:0].copy()}, None, "support_x uint8 .0, 28, 28."),
        ({SUPPORT_X: X.astype(np.float32)}, None, "support_x float32"),
        ({SUPPORT_Y: NUMBERS + 1}, None, "classes 1..5 of 5"),
        ({SUPPORT_Y: NUMBERS - 1}, None, "classes -1..3 of 5"),
    ],
)
def test_a_file_that_was_changed(
    runner: Runner, tmp_path: Path, tensors: dict[str, Any], notes: Any, message: str
) -> None:
    path = tmp_path / "mine.safetensors"
    FewShotClassifier(runner, keep_support=True).fit(X, NUMBERS).save(path)
    rewrite(path, tensors, notes)
    classifier = FewShotClassifier(runner)
    with pytest.raises(BundleError, match=f"no file of an estimator: got .*{message}"):
        classifier.load(path)
    assert not hasattr(classifier, "classes_")
    runner.load(path)  # a plain learner does not look at these


def test_the_spare_row_has_to_fit(compiled: Compile, tmp_path: Path) -> None:
    runner, path = compiled(CASE["mlp-shared"]).runner, tmp_path / "mine.safetensors"
    name = EXTRA_PREFIX + "head.bias"
    for row in (None, np.zeros(2, np.float32), np.full(1, np.inf, np.float32)):
        FewShotClassifier(runner).fit(X, NUMBERS).save(path)
        rewrite(path, {name: row}, None)
        with pytest.raises(BundleError, match=f"no file of an estimator: got .*{name}"):
            FewShotClassifier(runner).load(path)
