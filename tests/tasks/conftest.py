"""Where the development data lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("EDGEMETA_DATA", BESIDE))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Return a function that finds a development file, or skips the test."""

    def find(name: str) -> Path:
        if not (DATA / name).is_file():
            pytest.skip(f"needs {name} in {DATA}")
        return DATA / name

    return find
