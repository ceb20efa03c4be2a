"""Bundles of the models in `tests.cases`, each compiled once per session, and small data files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases import Case, Compiled, compile_case

LONGEST_EXPORT = 300  # seconds; after them, whoever held the lock is gone


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Compiled]:
    """Return a function that compiles a case, once for all the processes that run the suite."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    made: dict[str, Compiled] = {}

    def compile_once(case: Case) -> Compiled:
        if case.name not in made:
            path = folder / "bundles" / case.name
            with only_one(folder / f"{case.name}.lock"):
                made[case.name] = compile_case(case, path)
        return made[case.name]

    return compile_once


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Let one process in at a time: to make a directory succeeds for one alone."""
    patience = time.monotonic() + LONGEST_EXPORT
    while True:
        try:
            lock.mkdir()
            break
        except FileExistsError:
            if time.monotonic() > patience:
                raise
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.rmdir()


@pytest.fixture(scope="session")
def write_npz(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes its keyword arguments to a new .npz file."""
    folder = tmp_path_factory.mktemp("npz")
    written = 0

    def write(**arrays: Any) -> Path:
        nonlocal written
        written += 1
        path = folder / f"{written}.npz"
        np.savez(path, allow_pickle=True, **arrays)
        return path

    return write
