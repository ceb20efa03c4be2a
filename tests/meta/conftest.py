"""A training of a second, on points in twenty clouds, whose features are kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta.tasks import TaskSource, open_tasks

SMALL: dict[str, Any] = {
    "meta_batch": 2,
    "iterations": 4,
    "validate_every": 2,
    "validation_episodes": 3,
    "test_episodes": 4,
    "evaluation_queries": 2,
    "queries": 2,
    "ways": 3,
    "threads": 1,  # two would wait for each other where the suite keeps all cores busy
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(write_npz: Callable[..., Path]) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 20
    x = rng.normal(size=(20, 6))[y] + 0.3 * rng.normal(size=(200, 6))
    return write_npz(x=x.astype(np.float32), y=y)


@pytest.fixture
def source(data: Path) -> TaskSource:
    return open_tasks(str(data))
