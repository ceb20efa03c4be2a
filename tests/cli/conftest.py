"""The command line, called as a user does, and what its commands need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgemeta.cli import main
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta_export import export_run
from tests.cases import CASE


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


def interruptible(*arguments: str) -> subprocess.Popen[str]:
    """Start `edgemeta` as a process that Ctrl-C ends; it prints "ready" before it begins."""
    # What a shell starts in the background ignores Ctrl-C, and so do its children.
    command = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from edgemeta.cli import main; print('ready', flush=True); "
        f"main({list(arguments)!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", command],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Return a function that runs `edgemeta` with some arguments in this process."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny training run on glyphs."""
    path = tmp_path_factory.mktemp("runs") / "glyphs"
    config = TrainConfig(
        tasks="glyphs",
        model="mlp",
        hidden=(16,),
        queries=2,
        meta_batch=2,
        iterations=4,
        validate_every=2,
        validation_episodes=3,
        test_episodes=4,
    )
    Trainer(config, path).train()
    return path


@pytest.fixture(scope="session")
def bundle_path(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run's bundle."""
    return export_run(run_path, tmp_path_factory.mktemp("bundles") / "glyphs")


@pytest.fixture
def support(tmp_path: Path) -> Path:
    """A support set of five classes."""
    x, y = CASE["mlp-classes"].samples(10, seed=1)
    np.savez(tmp_path / "support.npz", x=x, y=y)
    return tmp_path / "support.npz"
