"""Candidates that train side by side, in processes of their own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgemeta.errors import EdgemetaError, InputError, TrainingError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.recipe import _training
from edgemeta.meta.recipe._training import Job, rounds, train_all, with_threads, workers_for
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    rng = np.random.default_rng(0)
    y = np.arange(15 * 24) % 15
    x = rng.normal(size=(15, 6))[y] + 0.3 * rng.normal(size=(len(y), 6))
    np.savez(tmp_path / "clouds.npz", x=x.astype(np.float32), y=y)
    return TrainConfig.of(
        tasks=str(tmp_path / "clouds.npz"),
        **{"algorithm": "pretrain", "objective": "classes", "model": "mlp", "hidden": (8,)},
        **{"ways": 3, "iterations": 20, "validate_every": 10, "validation_episodes": 4},
        **{"meta_batch": 1, "test_episodes": 0, "threads": 1},
    )


def test_two_at_a_time_learn_what_one_process_does(tmp_path: Path, config: TrainConfig) -> None:
    alone = Trainer(config, tmp_path / "alone").train()
    assert alone is not None
    jobs = [Job(Run(tmp_path / name), config) for name in ("a", "b")]
    train_all(jobs, workers=2)
    for job in jobs:
        assert job.run.result() == alone


def test_what_has_ended_is_not_trained_again(
    tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(Run(tmp_path / name), config) for name in ("a", "b")]
    for job in jobs:
        job.run.create(config)
        job.run.write_result({"mean": None})
    monkeypatch.setattr(_training, "Trainer", None)
    train_all(jobs, workers=2)


def test_an_interruption_stops_all_where_they_can_go_on(
    tmp_path: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = replace(config, iterations=1_000_000, validation_episodes=2)
    jobs = [Job(Run(tmp_path / name), endless) for name in ("a", "b")]
    real, presses = time.sleep, list[int]()

    def interrupted(seconds: float) -> None:
        real(seconds)
        if not presses and all(job.run.metrics() for job in jobs):  # both are at work
            presses.append(len(presses))
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_all(jobs, workers=2)
    monkeypatch.undo()
    real(0.5)
    lengths = [len(job.run.metrics()) for job in jobs]
    real(0.5)
    assert [len(job.run.metrics()) for job in jobs] == lengths, "they have stopped"
    for job in jobs:
        assert job.run.result() is None
        last = Checkpoint.from_file(job.run.checkpoint_path("last"))
        assert last.iteration >= job.run.metrics()[-1]["iteration"] > 0


def test_a_failure_is_one_line_and_stops_the_others(tmp_path: Path, config: TrainConfig) -> None:
    good, bad = Job(Run(tmp_path / "good"), config), Job(Run(tmp_path / "bad"), config)
    Trainer(replace(config, iterations=100_000), good.run.path).create_run()
    Trainer(config, bad.run.path).create_run()
    (bad.run.path / "checkpoints" / "last.pt").write_bytes(b"nothing")
    with pytest.raises(EdgemetaError, match=r"last\.pt") as found:
        train_all([good, bad], workers=2)
    assert "\n" not in str(found.value)
    assert good.run.result() is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [("_exit(2)", InputError), ("_exit(1)", TrainingError), ("abort()", TrainingError)],
)
def test_the_kind_of_a_failure_comes_over(
    tmp_path: Path,
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[EdgemetaError],
) -> None:
    package = tmp_path / "failing"
    package.mkdir()
    (package / "ends.py").write_text(f"import os; os.{code}")
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setattr(_training, "WORKER", "ends")
    jobs = [Job(Run(tmp_path / name), config) for name in ("a", "b")]
    with pytest.raises(kind, match="ended with exit code") as found:
        train_all(jobs, workers=2)
    assert type(found.value) is kind


def test_the_cores_are_shared(config: TrainConfig) -> None:
    four = replace(config, threads=4, device="cpu")
    assert workers_for(four, 3, in_files=True) == 3
    assert workers_for(four, 9, in_files=True) == 4
    assert workers_for(four, 3, in_files=False) == 1
    assert with_threads(four, 2).threads == 2
    assert with_threads(four, 3).threads == 1
    assert with_threads(four, 1) is four


def test_how_long_they_take_side_by_side() -> None:
    assert rounds([1, 1, 0.5], 2) == 1.5
    assert rounds([1, 1, 0.5], 1) == 2.5
    assert rounds([1, 0.5], 2) == 1
