"""Bundles that name their classes in C++: the init predicts, and a classifier knows all classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta import FewShotClassifier, Runner
from tests.cpp.conftest import Save, Tool
from tests.cpp.test_classifier import ask, assert_same
from tests.named import NAMES, drawings, renamed
from tests.parity.classify import NAMED_QUESTIONS, classify_all

X, Y = drawings(3, seed=1)
QUERY, TRUTH = drawings(4, seed=2)
FEW = Y < 3


def noise(count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw drawings of no class in particular, or of some."""
    return rng.permutation(drawings(count, int(rng.integers(99)))[0])[:count]


def test_the_init_predicts_by_name(tool: Tool, named: Runner, save: Save) -> None:
    done = tool("predict", named.path, save(x=QUERY, y=TRUTH), "--json")
    assert done.err == ""
    assert done.record["classes"] == list(NAMES)
    assert done.record["labels"] == [NAMES[k] for k in named.init.predict(QUERY)]
    assert done.record["accuracy"] > 0.9
    assert tool("predict", named.path, save(x=QUERY[:1])).out == "bar\n"


def test_a_learner_inherits_the_names(
    tool: Tool, named: Runner, save: Save, tmp_path: Path
) -> None:
    out, few = tmp_path / "state.safetensors", save(x=X[FEW], y=Y[FEW])
    assert tool("adapt", named.path, few, "--out", out, "--json").record["classes"] == list(NAMES)
    assert named.load(out).labels == NAMES
    found = tool("predict", named.path, save(x=QUERY), "--state", out, "--json").record
    learner = named.adapt(X[FEW], Y[FEW])
    np.testing.assert_allclose(
        found["probabilities"], learner.predict_proba(QUERY), rtol=1e-5, atol=1e-6
    )
    assert found["labels"] == [NAMES[k] for k in learner.predict(QUERY)]
    three = tool("adapt", named.path, few, "--out", out, "--ways", 3, "--json").record
    assert three["classes"] == list(NAMES[:3])
    # A state without names in its file has the bundle's.
    tool("adapt", named.path, few, "--out", out, "--steps", 0)
    assert named.load(out).labels == NAMES


def test_it_classifies_as_python_does(tool: Tool, named: Runner, tmp_path: Path) -> None:
    def asked(op: str, **request: Any) -> dict[str, Any]:
        return ask(tool, named.path, **request)

    assert classify_all(asked, noise, named.path, tmp_path, NAMED_QUESTIONS) <= 1


def test_learning_more_and_forgetting(
    tool: Tool, named: Runner, save: Save, tmp_path: Path
) -> None:
    options, path = {"keep_support": True}, tmp_path / "kept.safetensors"
    python = FewShotClassifier(named, **options)
    python.fit(X[FEW], [NAMES[k] for k in Y[FEW]]).save(path)
    asked: dict[str, Any] = {"episode": save(query=QUERY), "names": NAMES, "options": options}
    asked |= {"load": path, "more": save(x=X[Y == 4], y=Y[Y == 4])}
    python.partial_fit(X[Y == 4], ["tee"] * 3)
    assert_same(ask(tool, named.path, **asked), python, QUERY)
    found = ask(tool, named.path, forget="box", **asked)
    assert found["classes"] == list(NAMES)
    assert_same(found, python.forget("box"), QUERY)


@pytest.mark.parametrize("names", [("bar", "box", "crosss", "slope", "tee"), (0, 1, 2, 3, 4)])
def test_other_labels_than_the_bundles(
    tool: Tool, named: Runner, save: Save, names: tuple[Any, ...]
) -> None:
    asked = {"episode": save(x=X, y=Y, query=QUERY), "names": names}
    error = ask(tool, named.path, **asked)["error"]
    odd = "crosss" if "bar" in names else "0"
    assert f"no such class: got {odd}, expected one of bar, box, cross, slope, tee" in error


def test_a_file_with_other_classes(tool: Tool, named: Runner, save: Save, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    FewShotClassifier(named).fit(X, [NAMES[k] for k in Y]).save(path)
    renamed(named, path, [*NAMES[:-1], "another"])
    error = ask(tool, named.path, episode=save(query=QUERY), load=path)["error"]
    assert "got other classes than the bundle's" in error
