"""Where the development data lies, and how to write small data files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Return a function that finds a development file, or skips the test."""

    def find(name: str) -> Path:
        if not (DATA / name).is_file():
            pytest.skip(f"needs {name} in {DATA}")
        return DATA / name

    return find


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
