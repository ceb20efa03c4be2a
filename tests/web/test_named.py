"""Bundles that name their classes in JavaScript: as Python, and each reads the other's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from edgemeta import FewShotClassifier, Runner
from tests.named import NAMES, drawings, renamed
from tests.parity.classify import NAMED_QUESTIONS, TOLERANCE, classify_all
from tests.web.conftest import Node

X, Y = drawings(3, seed=1)
QUERY, _ = drawings(4, seed=2)
FEW = Y < 3
OPTIONS = {"steps": None, "lr_scale": 1, "calibrate": False, "reject": None, "unknown": "?"}


def some(count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Draw drawings of some classes."""
    return rng.permutation(drawings(count, int(rng.integers(99)))[0])[:count]


def test_init_and_learners_have_the_names(node: Node, named: Runner, tmp_path: Path) -> None:
    save_file({"x": X[FEW], "y": Y[FEW]}, tmp_path / "support")
    save_file({"x": QUERY}, tmp_path / "query")
    files = {"support": tmp_path / "support", "queries": tmp_path / "query"}
    files |= {"result": tmp_path / "result", "out": tmp_path / "state"}
    found = node.ask("adapt", bundle=named.path, **files)
    learner = named.adapt(X[FEW], Y[FEW])
    assert found["labels"] == found["init"]["labels"] == list(NAMES)
    assert found["predicted"] == learner.predict(QUERY).tolist()
    plain = {"queries": tmp_path / "query", "result": tmp_path / "result"}
    answer = node.ask("state", bundle=named.path, state=tmp_path / "state", **plain)
    assert answer["labels"] == list(NAMES)
    first = node.ask("adapt", bundle=named.path, **files, ways=3)
    assert first["labels"] == list(NAMES[:3])
    unadapted = node.ask("adapt", bundle=named.path, **files, steps=0)
    assert unadapted["predicted"] == named.init.predict(QUERY).tolist()


def test_it_classifies_as_python_does(node: Node, named: Runner, tmp_path: Path) -> None:
    assert classify_all(node.ask, some, named.path, tmp_path, NAMED_QUESTIONS) <= 1


def test_a_kept_support_set_is_learned_from_again(
    node: Node, named: Runner, tmp_path: Path
) -> None:
    kept = FewShotClassifier(named, keep_support=True).fit(X[FEW], [NAMES[k] for k in Y[FEW]])
    kept.save(tmp_path / "kept")
    save_file({"x": X[Y == 4], "y": Y[Y == 4]}, tmp_path / "more")
    files = {"file": tmp_path / "kept", "support": tmp_path / "more", "save": tmp_path / "further"}
    answer = node.ask("further", bundle=named.path, **files, names=NAMES, forget="box")
    assert answer == {"classes": list(NAMES)}
    kept.partial_fit(X[Y == 4], ["tee"] * 3).forget("box")
    found = FewShotClassifier(named, keep_support=True).load(tmp_path / "further")
    for got, want in (
        (found.temperature_, kept.temperature_),
        (found.predict_proba(QUERY), kept.predict_proba(QUERY)),
        (found.familiarity(QUERY), kept.familiarity(QUERY)),
    ):
        np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * np.abs(want).max())


def refusal(node: Node, named: Runner, folder: Path, names: Any, load: Path | None = None) -> str:
    """Return the error of a classifier in Node."""
    save_file({"x": X, "y": Y, "query": QUERY}, folder / "episode")
    request = {"episode": folder / "episode", "names": names, "load": load, "save": None}
    options = OPTIONS | {"keep_support": False}
    return str(node.ask("classify", bundle=named.path, options=options, **request)["error"])


@pytest.mark.parametrize(("odd", "shown"), [("crosss", '"crosss"'), (3, "3")])
def test_other_labels_than_the_bundles(
    node: Node, named: Runner, tmp_path: Path, odd: Any, shown: str
) -> None:
    error = refusal(node, named, tmp_path, ["bar", "box", odd, "slope", "tee"])
    assert error == (
        f"the bundle has no such class: got {shown}, expected one of bar, box, cross, slope, tee"
    )


def test_a_file_with_other_classes(node: Node, named: Runner, tmp_path: Path) -> None:
    path = tmp_path / "odd"
    FewShotClassifier(named).fit(X, [NAMES[k] for k in Y]).save(path)
    renamed(named, path, [*NAMES[:-1], "another"])
    assert "other classes than the bundle's" in refusal(node, named, tmp_path, NAMES, path)
