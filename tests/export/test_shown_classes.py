"""A bundle whose labels keep their meaning adapts to a part of the classes as PyTorch does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgemeta
from edgemeta import Runner
from edgemeta.measure.partial import showing
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, from_arrays
from edgemeta.tasks.dataset_source import DatasetSource
from tests.conftest import Exported

CLASSES, PEOPLE, EACH = 4, 10, 10
SIZE = EpisodeSize(CLASSES, 2, 5)


def people() -> DatasetSource:
    rng = np.random.default_rng(0)
    rows = np.arange(CLASSES * PEOPLE * EACH)
    y, subject = rows % CLASSES, rows // (CLASSES * EACH)
    x = 2 * np.eye(CLASSES)[y] + 0.5 * rng.normal(size=(len(y), CLASSES))
    return from_arrays(x.astype(np.float32), y, subject=subject, by="subject")


def train_and_export(path: Path) -> None:
    config = TrainConfig.of(
        tasks="<people>",
        labels="fixed",
        algorithm="pretrain",
        model="mlp",
        hidden=(16,),
        adapt=("*",),
        queries=3,
        iterations=40,
        validate_every=40,
        validation_episodes=4,
        test_episodes=4,
        evaluation_queries=5,
        meta_lr=1e-2,
        threads=1,
    )
    Trainer(config, path / "run", source=people()).train()
    edgemeta.export(path / "run", path / "whole")
    edgemeta.export(path / "run", path / "sliced", chunk=4)


@pytest.fixture(scope="module")
def made(exported: Exported) -> Path:
    return exported("shown-classes", train_and_export)


@pytest.mark.parametrize("form", ["whole", "sliced"])
@pytest.mark.parametrize("shown", [(0, 1, 2, 3), (3, 1), (2,)])
def test_it_computes_what_training_did(made: Path, form: str, shown: tuple[int, ...]) -> None:
    run = Run(made / "run", source=people())
    episode = run.open_tasks().episode("test", SIZE, 0, 0)
    part = showing(episode, np.array(shown))
    want = run_adapter(run).adapt_and_predict(part)
    learner = Runner(made / form).adapt(part.support_x, part.support_y, ways=CLASSES, guard=False)
    found = learner.predict_logits(part.query_x)
    np.testing.assert_allclose(found, want, atol=1e-5)  # float32, 10 steps; largest seen 8e-7
    away = (found.argmax(1) != episode.query_y) & ~np.isin(episode.query_y, shown)
    assert away.mean() < 0.1  # what was not shown is still known
