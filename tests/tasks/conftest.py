"""Where the development data lies."""

from __future__ import annotations

import os
import tarfile
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


@pytest.fixture(scope="session")
def arabic_wave(data_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Spoken words as recordings, unpacked."""
    return _unpacked(data_file("arabic-wave.tar.gz"), tmp_path_factory)


@pytest.fixture(scope="session")
def photographs(data_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of things, unpacked."""
    return _unpacked(data_file("caltech-dev.tar.gz"), tmp_path_factory)


def _unpacked(archive: Path, factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp("unpacked")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")
