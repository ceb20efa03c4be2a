"""Classifiers in JavaScript: Python's numbers, and each reads the other's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from edgemeta import FewShotClassifier, Runner
from edgemeta.device.packaged import BUNDLES
from tests.cases import CASE, Compile
from tests.parity.classify import TOLERANCE, classify_all
from tests.web.conftest import Node

OMNIGLOT = BUNDLES / "omniglot"
X, Y = CASE["mlp-shared"].samples(10, seed=1)
QUERY, _ = CASE["mlp-shared"].samples(6, seed=2)
NAMES = ["ba", "alef", "ta", "dal", "ha"]


def strokes(count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Return drawings of three strokes each."""
    drawings = np.zeros((count, 28, 28), np.uint8)
    for drawing in drawings:
        for row, column in rng.integers(2, 20, (3, 2)):
            size = (8, 2) if rng.random() < 0.5 else (2, 8)
            drawing[row : row + size[0], column : column + size[1]] = 255
    return drawings


@pytest.mark.parametrize("name", ["omniglot", "mlp-shared", "mlp-classes"])
def test_it_computes_what_python_does(
    compiled: Compile, node: Node, name: str, tmp_path: Path
) -> None:
    # mlp-classes has a head of fixed width, of which most of the questions use a part.
    path = OMNIGLOT if name == "omniglot" else compiled(CASE[name]).runner.path
    assert classify_all(node.ask, strokes, path, tmp_path) <= 1


@pytest.mark.parametrize("case", ["mlp-shared", "mlp-classes"])
def test_a_kept_support_set_is_learned_from_again(
    compiled: Compile, node: Node, case: str, tmp_path: Path
) -> None:
    runner = compiled(CASE[case]).runner
    kept = FewShotClassifier(runner, keep_support=True).fit(X[:6], ["a", "b", "a", "b", "a", "b"])
    kept.save(tmp_path / "kept")
    save_file({"x": X[6:], "y": np.array([0, 1, 0, 1])}, tmp_path / "more")
    files = {"file": tmp_path / "kept", "support": tmp_path / "more", "save": tmp_path / "further"}
    answer = node.ask("further", bundle=runner.path, **files, names=["c", "b"], forget="a")
    assert answer == {"classes": ["b", "c"]}
    kept.partial_fit(X[6:], ["c", "b", "c", "b"]).forget("a")
    found = FewShotClassifier(runner, keep_support=True).load(tmp_path / "further")
    assert found.classes_.tolist() == kept.classes_.tolist() == ["b", "c"]
    for got, want in (
        (found.temperature_, kept.temperature_),
        (found.predict_proba(QUERY), kept.predict_proba(QUERY)),
        (found.familiarity(QUERY), kept.familiarity(QUERY)),
    ):
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * np.abs(want).max())
    # And Python goes on from what JavaScript kept.
    further = found.partial_fit(X[:1], ["d"])
    assert further.classes_.tolist() == ["b", "c", "d"]


def ask(node: Node, runner: Runner, folder: Path, names: list[Any], **changed: Any) -> str:
    """Return the error of a classifier in Node."""
    save_file({"x": X, "y": Y, "query": QUERY}, folder / "episode")
    options = {"steps": None, "lr_scale": 1, "calibrate": False, "reject": None, "unknown": "?"}
    request = {"names": names, "load": None, "save": None} | changed
    answer = node.ask(
        "classify",
        bundle=runner.path,
        episode=folder / "episode",
        options=options | {"keep_support": changed.pop("keep_support", False)},
        **request,
    )
    return str(answer["error"])


@pytest.mark.parametrize("label", [("a", 1), None, True])
def test_labels_that_javascript_lacks_are_refused_in_words(
    compiled: Compile, node: Node, tmp_path: Path, label: Any
) -> None:
    runner = compiled(CASE["mlp-shared"]).runner
    names = [label, *NAMES[1:]]
    FewShotClassifier(runner).fit(X, [names[k] for k in Y]).save(tmp_path / "mine")
    error = ask(node, runner, tmp_path, NAMES, load=tmp_path / "mine")
    assert error.startswith("the state is no file of a classifier: got a class called ")
    assert "expected texts and numbers alone" in error


def test_files_that_are_no_classifiers_are_refused(
    compiled: Compile, node: Node, tmp_path: Path
) -> None:
    runner, path = compiled(CASE["mlp-shared"]).runner, tmp_path / "mine"
    runner.adapt(X, Y).save(path)
    error = ask(node, runner, tmp_path, NAMES, load=path)
    assert "no file of a classifier: got the state of a plain learner" in error
    FewShotClassifier(runner).fit(X, Y).save(path)
    assert "belongs to another bundle" in ask(
        node, compiled(CASE["mlp-classes"]).runner, tmp_path, NAMES, load=path
    )
    regression = compiled(CASE["mlp-sinusoid"]).runner
    assert "needs another bundle: got one for regression" in ask(node, regression, tmp_path, NAMES)


def test_more_classes_than_the_head_has(compiled: Compile, node: Node, tmp_path: Path) -> None:
    runner = compiled(CASE["mlp-classes"]).runner
    x, _ = CASE["mlp-classes"].samples(6, seed=1)
    save_file({"x": x, "y": np.arange(6), "query": QUERY}, tmp_path / "six")
    error = node.ask(
        "classify",
        bundle=runner.path,
        episode=tmp_path / "six",
        names=list(range(6)),
        options={"steps": 1, "lr_scale": 1, "calibrate": False, "unknown": "?"},
        load=None,
        save=None,
    )["error"]
    assert error.startswith("y has more classes than the bundle can tell apart: got 6, expected")
