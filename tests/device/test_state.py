"""State files: what `Learner.save` writes and `Runner.load` reads."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from edgemeta import BundleError, EdgemetaError, InputError, Runner
from edgemeta.bundle import STATE_BUNDLE_KEY, STATE_DIGEST_KEY, STATE_LABELS_KEY, STATE_WAYS_KEY
from edgemeta.bundle._tensor_file import digest
from edgemeta.bundle.state import VERSION_KEY, write_state
from tests.cases import CASE

X, Y = CASE["mlp-classes"].samples(5, seed=1)
QUERY, _ = CASE["mlp-classes"].samples(6, seed=2)


def test_what_is_saved_comes_back(classifier: Runner, tmp_path: Path) -> None:
    learner = classifier.adapt(X, Y)
    learner.save(tmp_path / "mine.safetensors")
    loaded = classifier.load(tmp_path / "mine.safetensors")
    assert np.array_equal(loaded.predict_logits(QUERY), learner.predict_logits(QUERY))
    assert loaded.losses.shape == (0,)
    further, same = (classifier.adapt(X, Y, steps=2, state=one) for one in (loaded, learner))
    assert np.array_equal(further.predict_logits(QUERY), same.predict_logits(QUERY))
    with safe_open(tmp_path / "mine.safetensors", "numpy") as file:
        assert file.metadata()[STATE_BUNDLE_KEY] == classifier.fingerprint


def test_what_the_classes_are_called_is_kept(classifier: Runner, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    learner = classifier.adapt(X, Y)
    learner.save(path)
    assert classifier.load(path).labels is None
    labels = ("قف", 'a "b"', 7, 0.5)
    learner.save(path, labels)
    assert classifier.load(path).labels == labels
    assert np.array_equal(classifier.load(path).predict(QUERY), learner.predict(QUERY))
    with pytest.raises(InputError, match="the labels cannot be saved"):
        learner.save(path, ["x" * 2**20])
    assert classifier.load(path).labels == labels


def test_what_the_classes_are_called_stays_with_the_learner(
    classifier: Runner, tmp_path: Path
) -> None:
    classifier.adapt(X, Y).save(tmp_path / "named.safetensors", ["a", "b"])
    learner = classifier.load(tmp_path / "named.safetensors")
    further = classifier.adapt(X, Y, state=learner)
    for each in (further, learner.freeze(), pickle.loads(pickle.dumps(learner))):  # noqa: S301  # ours
        assert each.labels == ("a", "b")
    further.save(tmp_path / "further.safetensors")
    assert classifier.load(tmp_path / "further.safetensors").labels == ("a", "b")
    assert classifier.adapt(X, Y).labels is None


@pytest.mark.parametrize("text", ["hello", "{}", "[[1]]", "[null]", '["a", "a"]', "[" * 100_000])
def test_labels_that_are_none(classifier: Runner, tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.safetensors"
    classifier.adapt(X, Y).save(path)
    with safe_open(path, "numpy") as file:
        metadata = {**file.metadata(), STATE_LABELS_KEY: text}
    del metadata[STATE_DIGEST_KEY]
    tensors = load_file(path)
    save_file(tensors, path, metadata | {STATE_DIGEST_KEY: digest(tensors, metadata)})
    with pytest.raises(BundleError, match="no readable labels") as refused:
        classifier.load(path)
    assert len(str(refused.value)) < 500


def test_a_scalar_comes_back_as_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    write_state(path, {"neck.scale": np.array(4, np.float32)}, "0" * 64, None)
    assert load_file(path)["neck.scale"].shape == ()


def test_the_init_can_be_saved(classifier: Runner, tmp_path: Path) -> None:
    classifier.init.save(tmp_path / "init.safetensors")
    loaded = classifier.load(tmp_path / "init.safetensors")
    assert np.array_equal(loaded.predict_logits(QUERY), classifier.init.predict_logits(QUERY))


def test_saving_leaves_one_file_or_none(classifier: Runner, tmp_path: Path) -> None:
    learner = classifier.adapt(X, Y)
    learner.save(tmp_path / "mine.safetensors")
    learner.save(tmp_path / "mine.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    with pytest.raises(EdgemetaError, match="cannot write"):
        learner.save(tmp_path / "no such directory" / "mine.safetensors")


def test_a_state_of_another_bundle(classifier: Runner, regressor: Runner, tmp_path: Path) -> None:
    classifier.adapt(X, Y).save(tmp_path / "mine.safetensors")
    with pytest.raises(BundleError, match="belongs to another bundle"):
        regressor.load(tmp_path / "mine.safetensors")


def test_a_missing_or_foreign_file(classifier: Runner, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no readable state file"):
        classifier.load(tmp_path / "missing.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(BundleError, match="no readable state file"):
        classifier.load(tmp_path / "text")
    save_file({"a": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    with pytest.raises(BundleError, match="no state file of this format"):
        classifier.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_file_that_was_cut_short(classifier: Runner, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "mine.safetensors"
    classifier.adapt(X, Y).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match="no readable state file"):
        classifier.load(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("drop", "missing or unknown tensors: got head.bias"),
        ("add", "missing or unknown tensors: got extra"),
        ("shape", "head.bias does not fit the bundle"),
        ("dtype", "head.bias does not fit the bundle"),
        ("nan", "head.bias holds values that are not finite"),
        ("large", "too large for a state"),
    ],
)
def test_tensors_that_do_not_fit(
    classifier: Runner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    message: str,
) -> None:
    state = classifier.adapt(X, Y).state_dict()
    bias = state["head.bias"]
    match damage:
        case "drop":
            del state["head.bias"]
        case "add":
            state["extra"] = np.zeros(1, np.float32)
        case "shape":
            state["head.bias"] = bias[:-1].copy()
        case "dtype":
            state["head.bias"] = bias.astype(np.float64)
        case "nan":
            state["head.bias"] = bias * np.nan
        case "large":
            monkeypatch.setattr("edgemeta.bundle.state.MOST_KEPT", 1)  # samples beside the state
            state["head.bias"] = np.zeros(10**6, np.float32)
    metadata = {
        STATE_BUNDLE_KEY: classifier.fingerprint,
        VERSION_KEY: "1",
        STATE_WAYS_KEY: "5",
    }
    save_file(state, tmp_path / "odd.safetensors", metadata)
    with pytest.raises(BundleError, match=message):
        classifier.load(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("damage", ["ways", "value", "no hash"])
def test_a_file_that_holds_something_else_than_was_saved(
    classifier: Runner, tmp_path: Path, damage: str
) -> None:
    """Each of these would pass for a state, but for the hash in it."""
    path = tmp_path / "mine.safetensors"
    classifier.adapt(X, Y).save(path)
    with safe_open(path, "numpy") as file:
        metadata, state = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    match damage:
        case "ways":
            metadata[STATE_WAYS_KEY] = "4"
        case "value":
            state["head.bias"] = np.nextafter(state["head.bias"], np.float32(1))
        case _:
            del metadata[STATE_DIGEST_KEY]
    save_file(state, path, metadata)
    with pytest.raises(BundleError, match="is damaged: got other values than were saved"):
        classifier.load(path)
