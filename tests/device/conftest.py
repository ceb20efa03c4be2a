"""A small classifier and a small regressor as bundles."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgemeta import Runner
from tests.cases import CASE, Compile


@pytest.fixture(scope="session")
def classifier(compiled: Compile) -> Runner:
    return compiled(CASE["mlp-classes"]).runner


@pytest.fixture(scope="session")
def regressor(compiled: Compile) -> Runner:
    return compiled(CASE["mlp-sinusoid"]).runner


@pytest.fixture
def bundle_copy(classifier: Runner, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(classifier.path, tmp_path / "bundle"))
