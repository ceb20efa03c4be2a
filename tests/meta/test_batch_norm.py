"""Batch norms of our networks: pre-training collects their statistics, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import edgemeta
from edgemeta.errors import InputError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run

PRETRAIN = TrainConfig.of(
    tasks="glyphs",
    algorithm="pretrain",
    model="conv4",
    norm="batch",
    head="shared",
    neck="cosine",
    width=8,
    meta_batch=2,
    queries=2,
    inner_steps=1,
    inner_lr=1.0,
    iterations=4,
    validate_every=2,
    validation_episodes=3,
    test_episodes=4,
)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("batch-norm") / "run")
    Trainer(PRETRAIN, run.path).train()
    return run


def statistics(run: Run) -> dict[str, torch.Tensor]:
    return {n: t for n, t in run.best().model.state_dict().items() if "running" in n}


def test_pre_training_collects_running_statistics(pretrained: Run) -> None:
    found = statistics(pretrained)
    assert len(found) == 8  # a mean and a variance for each of four blocks
    for name, tensor in found.items():
        assert not torch.equal(tensor, torch.full_like(tensor, float(name.endswith("var"))))


def test_meta_training_and_adapting_keep_them(pretrained: Run, tmp_path: Path) -> None:
    config = replace(PRETRAIN, algorithm="maml", objective="query", start=str(pretrained.path))
    later = Run(tmp_path / "run")
    Trainer(config, later.path).train()
    before, after = statistics(pretrained), statistics(later)
    assert all(torch.equal(before[name], after[name]) for name in before)
    moved = later.best().model.state_dict()["blocks.0.1.weight"]
    assert not torch.equal(moved, pretrained.best().model.state_dict()["blocks.0.1.weight"])


def test_a_bundle_predicts_one_sample_as_among_others(pretrained: Run, tmp_path: Path) -> None:
    bundle = edgemeta.export(pretrained, tmp_path / "bundle")
    example = pretrained.example()
    learner = edgemeta.Runner(bundle).adapt(example.support_x, example.support_y)
    together = learner.predict_logits(example.query_x)
    alone = np.concatenate([learner.predict_logits(x[None]) for x in example.query_x])
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_batch_norms_without_pre_training_are_refused() -> None:
    with pytest.raises(InputError, match="batch norms learn their statistics in pre-training"):
        TrainConfig(tasks="glyphs", norm="batch")
