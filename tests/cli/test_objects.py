"""Runs that Python began with a model or a source of its own: each command works, or says how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgemeta
from edgemeta import tasks
from edgemeta.meta.report.page import make_page
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import TaskSource
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused
from tests.meta.conftest import SMALL

GIVEN = SMALL | {"hidden": (8,), "iterations": 2}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskSource:
    """Points in twenty clouds, which also lie in data.npz."""
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    y = np.arange(200) % 20
    x = (rng.normal(size=(20, 6))[y] + 0.3 * rng.normal(size=(200, 6))).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return tasks.from_arrays(x, y)


@pytest.fixture
def of_object(source: TaskSource, tmp_path: Path) -> Path:
    return edgemeta.meta_train(net(), source, out=tmp_path / "object", **SMALL).path


@pytest.fixture
def of_arrays(source: TaskSource, tmp_path: Path) -> Path:
    return edgemeta.meta_train("mlp", source, out=tmp_path / "arrays", **GIVEN).path


def test_a_model_that_cannot_be_made_again_is_asked_for(
    call: Call, of_object: Path, source: TaskSource, tmp_path: Path
) -> None:
    data = tmp_path / "data.npz"
    for arguments in (
        ("report", of_object, "--tasks", data),
        ("baselines", of_object, "--tasks", data),
        ("eval", of_object, data),
        ("export", of_object, "--out", tmp_path / "bundle"),
    ):
        found = call(*arguments)
        assert_refused(found, "was an object in Python")
        assert "Run(path, model=...)" in found.err
    found = call("train", "--resume", "--out", of_object)
    assert_refused(found, "got <torch.nn.modules.container.Sequential>, <arrays>")
    assert "meta_train(model, source, out=" in found.err
    # What the lines say helps.
    run = Run(of_object, model=net(), source=source)
    assert "Sequential" in make_page(run, episodes=2)
    assert edgemeta.export(run, tmp_path / "bundle").is_dir()


def test_data_that_was_an_object_is_asked_for(call: Call, of_arrays: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    for command in ("report", "baselines", "eval"):
        found = call(command, of_arrays)
        assert_refused(found, "the tasks of this run were an object in Python: got <arrays>")
        assert "eval RUN TASKS; report, baselines: --tasks TASKS" in found.err
    few = ("--episodes", "3")
    for arguments in (
        ("report", of_arrays, "--tasks", data, *few),
        ("baselines", of_arrays, "--tasks", data, *few),
        ("eval", of_arrays, data, "--queries", "2", *few),
        ("export", of_arrays, "--out", tmp_path / "bundle"),
    ):
        found = call(*arguments)
        assert found.code == 0, found.err
