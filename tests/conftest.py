"""Bundles that tests share, each made once for the whole suite, and small data files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta import Runner
from tests.cases import Case, Compiled, export_case, load_case
from tests.named import export_named

LONGEST_EXPORT = 300  # seconds; after them, whoever held the lock is gone

Make = Callable[[Path], object]
Exported = Callable[[str, Make], Path]
"""What the fixture `exported` is."""


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Return a function that makes a bundle, or a folder of some, under a name of the suite.

    All processes that run the suite share it: the first one that asks calls `make(path)`. Nobody
    may change what it made; take a copy instead.

        path = exported("slices", lambda path: export_bundle(model(), path, X, ...))
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    return partial(made_once, folder / "bundles")


@pytest.fixture(scope="session")
def compiled(exported: Exported) -> Callable[[Case], Compiled]:
    """Return a function that compiles a case, once for all the processes that run the suite."""

    @cache
    def compile_once(case: Case) -> Compiled:
        return load_case(case, exported(f"case-{case.name}", partial(export_case, case)))

    return compile_once


@pytest.fixture(scope="session")
def named(exported: Exported) -> Runner:
    """A runner of a bundle that names its classes."""
    return Runner(exported("named", export_named), threads=1)


def made_once(folder: Path, name: str, make: Make) -> Path:
    """Return `folder`/`name`, and let `make` write it, whole, if it is not there."""
    path, part, maker = (folder / f"{name}{suffix}" for suffix in ("", ".part", ".maker"))
    function = make.func if isinstance(make, partial) else make
    made_by = f"{function.__module__}.{function.__qualname__}"
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder / f"{name}.lock"):
        if not path.exists():
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            maker.write_text(made_by)
            part.rename(path)
        known = maker.read_text()
        assert known == made_by, f"{name!r} is already what {known} made, not {made_by}"
    return path


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
