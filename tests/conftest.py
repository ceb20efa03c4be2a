"""Bundles of the models in `tests.cases`, each compiled once per session, and small data files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases import Case, Compiled, compile_case


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Compiled]:
    """Return a function that compiles a case, once."""
    made: dict[str, Compiled] = {}

    def compile_once(case: Case) -> Compiled:
        if case.name not in made:
            path = tmp_path_factory.mktemp("bundles") / case.name
            made[case.name] = compile_case(case, path)
        return made[case.name]

    return compile_once


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
