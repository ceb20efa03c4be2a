"""What the package offers shows its use in its docstring, and the examples run as they stand."""

from __future__ import annotations

import doctest
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import edgemeta
from edgemeta import tasks
from edgemeta.device import packaged
from tests.cases import CASE, Compile
from tests.onnx_files import perceptron

METHODS = {
    "Runner": ("adapt", "load"),
    "Learner": ("predict", "save", "freeze"),
}


def offered() -> Iterator[tuple[str, Any]]:
    """Yield what users call, by name; errors are raised, not called."""
    for name in edgemeta.__all__:
        found = getattr(edgemeta, name)
        if not (isinstance(found, type) and issubclass(found, Exception)):
            yield name, found
            yield from ((f"{name}.{m}", getattr(found, m)) for m in METHODS.get(name, ()))
    for name in ("from_arrays", "from_torch", "open_tasks"):
        yield f"tasks.{name}", getattr(tasks, name)


OFFERED = dict(offered())


@pytest.fixture(scope="module")
def folder(compiled: Compile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the examples run in: what they find there has the names they use."""
    made = tmp_path_factory.mktemp("examples")
    shutil.copytree(packaged.BUNDLES / "omniglot", made / "bundle")
    shutil.copytree(compiled(CASE["mlp-sinusoid"]).runner.path, made / "sines")
    onnx.save(perceptron(), made / "body.onnx")
    for place in ("alef/1", "ba/1", "ba/2"):
        (path := made / "drawings" / f"{place}.png").parent.mkdir(parents=True, exist_ok=True)
        drawing = np.full((28, 28), 255, np.uint8)
        drawing[4:24, 13:16] = 0 if "alef" in place else 255
        drawing[13:16, 4:24] = 0 if "ba" in place else 255
        Image.fromarray(drawing).save(path)
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a run in the folder, for the example that exports one."""
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)).astype(np.float32), np.repeat(np.arange(6), 10)
    np.savez("data.npz", x=x, y=y, split=np.repeat(np.arange(3), 20))
    choices: dict[str, Any] = {
        "ways": 2,
        "shots": 1,
        "queries": 2,
        "evaluation_queries": 2,
        "hidden": (4,),
    }
    choices |= {"iterations": 1, "validation_episodes": 2, "test_episodes": 2, "strategy": "loop"}
    edgemeta.meta_train("mlp", "data.npz", out="runs/glyphs", **choices)


@pytest.mark.parametrize("name", OFFERED)
def test_an_example(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if name == "export":
        request.getfixturevalue("run")
    assert failures(name, OFFERED[name].__doc__ or "", folder, monkeypatch) == []


def test_a_wrong_example_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = """Example:
        >>> import edgemeta
        >>> edgemeta.load("omniglot").manifest.input.shape
        (28, 29)
    """
    assert "(28, 29)" in "".join(failures("wrong", wrong, folder, monkeypatch))
    assert failures("none", "No example.", folder, monkeypatch) == ["none has no example"]


def failures(name: str, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run the example of a docstring in the folder; return what went wrong."""
    monkeypatch.chdir(folder)
    names = {"drawings": folder / "drawings"}
    example = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    if not example.examples:
        return [f"{name} has no example"]
    found: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=found.append)
    return found
