"""The classifier in C++ is Python's: the same numbers, the same files, the same refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import nn

import edgemeta
from edgemeta import AdaptationError, BundleError, FewShotClassifier
from edgemeta.bundle import extra_name
from edgemeta.bundle.selftest import read_selftest
from edgemeta.bundle.state import read_state, write_state
from edgemeta_export import export_bundle
from tests.cpp.conftest import Bundle, Save, Tool
from tests.cpp.test_serve import answers

Change = Callable[[dict[str, Any], dict[str, NDArray[Any]]], None]

SHOTS, CLASSES = 3, 4
NAMES = ["key", "cup", "Äpfel", "\U0001f511"]


def moved(drawings: NDArray[Any], count: int, seed: int) -> NDArray[Any]:
    """Each drawing `count` times, moved by a few pixels: what a class's samples have in common."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            np.roll(drawing, tuple(rng.integers(-2, 3, 2)), (0, 1))
            for drawing in drawings
            for _ in range(count)
        ]
    )


@pytest.fixture(params=["omniglot", "classifier"])
def head(request: pytest.FixtureRequest) -> Bundle:
    """A shared head, which has a spare class, and one of fixed width."""
    found: Bundle = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def drawings(omniglot: Bundle) -> NDArray[Any]:
    return read_selftest(omniglot.path, omniglot.runner.manifest).support_x


@pytest.fixture
def episode(head: Bundle, drawings: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Samples of four classes, and queries of which some are of others."""
    made = drawings
    if made.shape[1:] != head.runner.manifest.input.shape:
        made = np.random.default_rng(0).permutation(head.samples(len(drawings), 3)[0])
    return {
        "x": moved(made[:CLASSES], SHOTS, 1),
        "y": np.repeat(np.arange(CLASSES), SHOTS),
        "query": moved(made[: CLASSES + 4], 2, 2),
    }


def ask(tool: Tool, head: Bundle | Path, **fields: object) -> dict[str, Any]:
    """Ask for the op "classify", and return its answer."""
    path = head if isinstance(head, Path) else head.path
    paths = {name: str(each) if isinstance(each, Path) else each for name, each in fields.items()}
    (found,) = answers(tool, {"op": "classify", "bundle": str(path), **paths})
    return found


def assert_same(found: dict[str, Any], python: FewShotClassifier, query: NDArray[Any]) -> None:
    assert "error" not in found, found
    assert found["labels"] == python.predict(query).tolist()
    assert found["classes"] == python.classes_.tolist()
    np.testing.assert_allclose(found["probabilities"], python.predict_proba(query), atol=1e-5)
    # float32 logits up to 30, of two sums in another order
    np.testing.assert_allclose(
        found["familiarity"], python.familiarity(query), rtol=1e-4, atol=1e-5
    )
    assert (found["temperature"] is not None) == python.calibrated_
    if python.calibrated_:
        assert found["temperature"] == pytest.approx(python.temperature_, rel=1e-4)


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (NAMES, {}),
        (NAMES, {"reject": 0.7}),
        ([3, -1, 7, 0], {"reject": 0.7, "unknown": -5}),
        (["b", 2, "a", 1], {"steps": 2, "lr_scale": 0.5, "calibrate": False}),
        ([2.0, 10, 1, -1e15], {"reject": 1e9, "unknown": 2}),
    ],
    ids=["texts", "unknown", "numbers", "mixed", "all unknown"],
)
def test_it_computes_what_python_does(
    tool: Tool,
    head: Bundle,
    episode: dict[str, NDArray[Any]],
    save: Save,
    names: list[Any],
    options: dict[str, Any],
) -> None:
    found = ask(tool, head, episode=save(**episode), names=names, options=options)
    given = {("unknown_label" if k == "unknown" else k): value for k, value in options.items()}
    python = FewShotClassifier(head.runner, **given)
    python.fit(episode["x"], [names[k] for k in episode["y"]])
    assert_same(found, python, episode["query"])
    if options.get("reject") == 0.7 and head.runner.manifest.any_ways:  # both sorts are there
        assert 0 < found["labels"].count(options.get("unknown", "unknown")) < len(found["labels"])


@pytest.mark.parametrize("shots", [[1, 3, 3, 3], [2, 7, 6, 3], [5, 6, 7, 8], [3, 0, 0, 0]])
def test_any_number_of_samples(
    tool: Tool, head: Bundle, episode: dict[str, NDArray[Any]], save: Save, shots: list[int]
) -> None:
    x = np.concatenate(
        [
            np.resize(episode["x"][episode["y"] == k], (n, *episode["x"].shape[1:]))
            for k, n in enumerate(shots)
        ]
    )
    y = np.repeat(np.arange(CLASSES), shots)
    found = ask(tool, head, episode=save(x=x, y=y, query=episode["query"]), names=NAMES)
    python = FewShotClassifier(head.runner).fit(x, [NAMES[k] for k in y])
    assert_same(found, python, episode["query"])
    assert python.calibrated_ == (min(shots) > 1)


def test_files_cross_both_ways(
    tool: Tool, head: Bundle, episode: dict[str, NDArray[Any]], save: Save, tmp_path: Path
) -> None:
    labels = [NAMES[k] for k in episode["y"]]
    theirs, ours = tmp_path / "cpp.safetensors", tmp_path / "python.safetensors"
    for keep in (False, True):
        options: dict[str, Any] = {"keep_support": keep, "reject": 0.7}
        asked = {"episode": save(**episode), "names": NAMES, "options": options}
        ask(tool, head, save=theirs, **asked)
        read = FewShotClassifier(head.runner, **options).load(theirs)
        python = FewShotClassifier(head.runner, **options).fit(episode["x"], labels)
        assert_same(ask(tool, head, **asked), read, episode["query"])
        python.save(ours)
        assert_same(ask(tool, head, load=ours, **asked), python, episode["query"])
        assert set(load_file(ours)) == set(load_file(theirs))
        assert (extra_name("support_x") in load_file(theirs)) == keep
    # The plain learner in there has names too, and no spare class.
    plain = head.runner.load(theirs)
    assert plain.labels == tuple(sorted(NAMES))
    assert plain.ways == (CLASSES if head.runner.manifest.any_ways else head.runner.manifest.ways)


def test_learning_more_and_forgetting(
    tool: Tool, head: Bundle, episode: dict[str, NDArray[Any]], save: Save, tmp_path: Path
) -> None:
    names = [*NAMES, "a later one"]
    more = {"x": episode["query"][[0, 8, 9]], "y": np.array([0, 4, 4])}
    options = {"keep_support": True}
    path = tmp_path / "kept.safetensors"
    python = FewShotClassifier(head.runner, **options)
    python.fit(episode["x"], [NAMES[k] for k in episode["y"]])
    python.save(path)
    asked = {"episode": save(**episode), "names": names, "options": options, "load": path}
    asked["more"] = save(**more)
    python.partial_fit(more["x"], [names[k] for k in more["y"]])
    found = ask(tool, head, **asked)
    assert_same(found, python, episode["query"])
    assert found["classes"] == [*sorted(NAMES), "a later one"]
    assert_same(ask(tool, head, forget="cup", **asked), python.forget("cup"), episode["query"])


def test_what_is_refused(
    tool: Tool, head: Bundle, episode: dict[str, NDArray[Any]], save: Save, tmp_path: Path
) -> None:
    fitting = {"episode": save(**episode), "names": NAMES}
    few = save(x=episode["x"][:2], y=np.zeros(2, np.int64), query=episode["query"])
    unlike = save(**episode | {"y": episode["y"][:-1]})
    kept = {"keep_support": True}
    saved = tmp_path / "plain.safetensors"
    ask(tool, head, save=saved, **fitting)
    for fields, want in (
        (fitting | {"names": [0.5, 1, 2, 3]}, "y is continuous: got 0.5, expected labels"),
        (fitting | {"episode": unlike}, "y does not fit x: got 11 labels, expected 12"),
        (fitting | {"options": {"reject": -1}}, "reject is out of range: got -1"),
        (fitting | {"options": {"steps": -1}}, "steps is out of range: got -1"),
        (fitting | {"forget": "cup"}, "the support set was not kept"),
        (fitting | {"more": fitting["episode"]}, "the support set was not kept"),
        (fitting | {"forget": "nobody"}, "there is no such class: got nobody"),
        (
            {"episode": few, "names": NAMES, "options": kept, "forget": "key"},
            "no other class has samples: got key",
        ),
        (fitting | {"names": [*NAMES[:3], "\x1b"], "save": tmp_path / "a"}, "labels"),
        (fitting | {"load": saved, "options": kept}, "has no support set"),
    ):
        error = ask(tool, head, **fields).get("error", "")
        assert want in error, (want, error)
    assert not (tmp_path / "a").exists()


def test_an_adaptation_that_comes_to_no_numbers(tool: Tool, save: Save, tmp_path: Path) -> None:
    """Nothing bounds what several linear layers make of a high rate and of opposite labels."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4) for _ in range(4)]
    x = np.ones((4, 4), np.float32)
    path = export_bundle(
        nn.Sequential(*layers), tmp_path / "bundle", x, ways=4, inner_lr=0.01, inner_steps=1
    )
    options: dict[str, Any] = {"lr_scale": 1e3, "steps": 100}
    y = np.arange(4)
    with pytest.raises(AdaptationError, match="is not finite") as refused:
        FewShotClassifier(path, **options).fit(x, y)
    asked = {"episode": save(x=x, y=y, query=x), "names": [0, 1, 2, 3], "options": options}
    assert ask(tool, path, **asked)["error"] == str(refused.value)


def test_a_fixed_head_has_a_limit(tool: Tool, classifier: Bundle, save: Save) -> None:
    x = classifier.samples(6, 1)[0]
    path = save(x=x, y=np.arange(6), query=x)
    error = ask(tool, classifier, episode=path, names=list("abcdef"))["error"]
    assert "more classes than the bundle can tell apart: got 6, expected at most 5" in error


def test_a_bundle_for_regression(tool: Tool, regressor: Bundle, save: Save) -> None:
    x = regressor.samples(4, 1)[0]
    asked = {"episode": save(x=x, y=np.arange(4), query=x), "names": NAMES}
    error = ask(tool, regressor, **asked)["error"]
    assert "needs another bundle: got one for regression, expected one for classification" in error


@pytest.mark.parametrize("label", [None, True, ("a", 1)], ids=["none", "boolean", "tuple"])
def test_labels_that_only_python_has(
    tool: Tool, omniglot: Bundle, drawings: NDArray[Any], save: Save, tmp_path: Path, label: Any
) -> None:
    path = tmp_path / "odd.safetensors"
    FewShotClassifier(omniglot.runner).fit(drawings[:2], ["a", label]).save(path)
    error = ask(tool, omniglot, episode=save(query=drawings), load=path)["error"]
    assert "is no file of a classifier: got a label that C++ has no type for" in error


def without(name: str) -> Change:
    return lambda _, extra: extra.__delitem__(extra_name(name))


def beside(name: str, value: NDArray[Any]) -> Change:
    return lambda _, extra: extra.update({extra_name(name): value})


def noted(**fields: Any) -> Change:
    return lambda notes, _: notes.update(fields)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (noted(labels=None), "the file of a regressor"),
        (noted(labels=["a", "a"]), "a label that is there twice"),
        (noted(labels=[1, 1.0]), "a label that is there twice"),
        (noted(labels=["a", "b", "c"]), "3 labels for 2 classes"),
        (noted(labels=[]), "0 labels for 2 classes"),
        (noted(labels="ab"), "labels"),
        (noted(temperature=1), "temperature 1"),
        (noted(temperature=-1.0), "temperature -1.0"),
        (noted(samples=[1]), "samples"),
        (noted(samples=[0, 0]), "no samples"),
        (noted(samples=[1, -1]), "samples -1"),
        (noted(samples=[1, 2**32]), "samples 4294967296"),
        (noted(flat=1), "flat 1"),
        (noted(more=1), "more"),
        (lambda notes, _: notes.__delitem__("flat"), "flat"),
        (without("lead"), "no edgemeta.lead"),
        (beside("lead", np.ones(3, np.float32)), "edgemeta.lead float32 (3,)"),
        (beside("lead", np.ones(2, np.float64)), "edgemeta.lead float64 (2,)"),
        (beside("lead", np.full(2, np.nan, np.float32)), "edgemeta.lead that is not finite"),
        (beside("support_x", np.zeros((0, 28, 28), np.uint8)), "without samples"),
        (beside("support_y", np.zeros(2, np.int64)), "without samples"),
        (beside("support_x", np.zeros((2, 28, 28), np.uint8)), "no edgemeta.support_y"),
    ],
)
def test_a_damaged_file(
    tool: Tool,
    omniglot: Bundle,
    drawings: NDArray[Any],
    save: Save,
    tmp_path: Path,
    change: Change,
    why: str,
) -> None:
    runner, path = omniglot.runner, tmp_path / "damaged.safetensors"
    FewShotClassifier(runner).fit(drawings[:2], ["a", "b"]).save(path)
    state = read_state(path, runner.manifest, runner.fingerprint)
    notes = json.loads(state.notes or "")
    change(notes, state.extra)
    write_state(path, state.tensors, runner.fingerprint, state.ways, state.extra, json.dumps(notes))
    with pytest.raises(BundleError, match="is no file of an estimator"):
        FewShotClassifier(runner).load(path)
    error = ask(tool, omniglot, episode=save(query=drawings), load=path)["error"]
    assert f"{path} is no file of a classifier: got " in error
    assert why in error


def test_other_files(
    tool: Tool, omniglot: Bundle, drawings: NDArray[Any], save: Save, tmp_path: Path
) -> None:
    path = tmp_path / "plain.safetensors"
    edgemeta.load("omniglot").adapt(drawings[:2], [0, 1]).save(path)
    asked = {"episode": save(query=drawings), "load": path}
    assert "got the state of a plain learner" in ask(tool, omniglot, **asked)["error"]
    path.write_bytes(b"no tensors")
    assert "is no readable state file" in ask(tool, omniglot, **asked)["error"]
    path.unlink()
    assert "is no readable state file" in ask(tool, omniglot, **asked)["error"]
