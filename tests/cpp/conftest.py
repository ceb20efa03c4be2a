"""The C++ runner as `export/cpp/build.sh` built it, and bundles and files for it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

import edgemeta
from edgemeta import Runner
from edgemeta.bundle.selftest import read_selftest
from tests.cases import CASE, WAYS, Compile

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "cpp"

Save = Callable[..., Path]
"""What the fixture `save` is."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> Any:
        """What it printed as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, code: int = 2) -> str:
        """The one line of an error with an exit code; nothing else was printed."""
        assert (self.code, self.out, self.err.count("\n")) == (code, "", 1), self
        assert self.err.startswith("Error: ")
        return self.err


@dataclass(frozen=True)
class Tool:
    """The command line."""

    binary: Path

    def __call__(self, *arguments: object, given: str = "") -> Outcome:
        """Run it with some arguments and some standard input."""
        done = subprocess.run(
            [self.binary, *map(str, arguments)], input=given, capture_output=True, text=True
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def tool() -> Tool:
    binary = BUILD / "edgemeta-cpp"
    if not binary.exists():
        reason = f"no C++ runner at {binary}; build it: make cpp"
        if os.environ.get("EDGEMETA_REQUIRE_CPP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return Tool(binary)


@dataclass(frozen=True)
class Bundle:
    """A bundle and data for it."""

    runner: Runner
    samples: Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]]

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.runner.path


@pytest.fixture(scope="session")
def omniglot() -> Bundle:
    """A shared head: any number of classes."""
    runner = edgemeta.load("omniglot", threads=1)
    drawings = read_selftest(runner.path, runner.manifest).support_x  # noise would diverge

    def samples(count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        chosen = np.random.default_rng(seed).permutation(len(drawings))[:count]
        return drawings[chosen], np.arange(count) % WAYS

    return Bundle(runner, samples)


@pytest.fixture(scope="session")
def classifier(compiled: Compile) -> Bundle:
    """A head of five classes."""
    return Bundle(compiled(CASE["mlp-classes"]).runner, CASE["mlp-classes"].samples)


@pytest.fixture(scope="session")
def regressor(compiled: Compile) -> Bundle:
    return Bundle(compiled(CASE["mlp-sinusoid"]).runner, CASE["mlp-sinusoid"].samples)


@pytest.fixture(params=["omniglot", "classifier", "regressor"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Each of the three sorts of bundles."""
    found: Bundle = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Return a function that writes its keyword arguments to a new safetensors file."""

    def write(**tensors: NDArray[Any]) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, path)
        return path

    return write
