"""Training shows changed samples and more classes; validation and test show neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgemeta.errors import InputError
from edgemeta.meta.augment import Augmentation
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource, from_arrays
from tests.meta.conftest import SMALL


@pytest.fixture
def series() -> TaskSource:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 20
    x = rng.normal(size=(20, 12, 3))[y] + 0.3 * rng.normal(size=(240, 12, 3))
    return from_arrays(x.astype(np.float32), y)


def trained(source: TaskSource, out: Path, **choices: Any) -> Trainer:
    config = TrainConfig.of(**SMALL | {"tasks": "<series>", "model": "mlp"} | choices)
    trainer = Trainer(config, out, source=source)
    trainer.train()
    return trainer


def weights(trainer: Trainer) -> list[Tensor]:
    return [parameter.detach() for parameter in trainer.work.model.parameters()]


@pytest.mark.parametrize("algorithm", ["maml", "pretrain"])
def test_a_training_repeats_and_differs_from_one_without(
    series: TaskSource, tmp_path: Path, algorithm: str
) -> None:
    choices = {"algorithm": algorithm, "augment": ("auto",)}
    once, twice = (trained(series, tmp_path / name, **choices) for name in "ab")
    plain = trained(series, tmp_path / "c", algorithm=algorithm)
    assert all(map(torch.equal, weights(once), weights(twice)))
    assert not all(map(torch.equal, weights(once), weights(plain)))


@pytest.mark.parametrize(("algorithm", "samples"), [("maml", 2 * 3 * 3), ("pretrain", 2 * 3 * 3)])
def test_only_training_samples_are_changed(
    series: TaskSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
    samples: int,
) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []
    change = Augmentation.__call__

    def watched(self: Augmentation, x: Tensor, seed: tuple[int, ...]) -> Tensor:
        seen.append((len(x), tuple(seed)))
        return change(self, x, seed)

    monkeypatch.setattr(Augmentation, "__call__", watched)
    trained(series, tmp_path / "run", algorithm=algorithm, augment=("noise",), strategy="loop")
    assert {count for count, _ in seen} == {samples}
    assert len({seed for _, seed in seen}) == SMALL["iterations"]


def test_a_resumed_training_draws_the_same_numbers(series: TaskSource, tmp_path: Path) -> None:
    choices = {"augment": ("auto",), "more_classes": ("reverse",), "strategy": "loop"}
    whole = trained(series, tmp_path / "whole", **choices)
    config = TrainConfig.of(**SMALL | {"tasks": "<series>", "model": "mlp"} | choices)
    begun = Trainer(config, tmp_path / "run", source=series)
    begun.create_run()
    for _ in range(2):
        begun.outer_step()
    begun._validate(0.0, 1.0)
    resumed = Trainer(config, tmp_path / "run", resume=True, source=series)
    assert resumed.iteration == 2
    while resumed.iteration < config.iterations:
        resumed.outer_step()
    for mine, theirs in zip(weights(resumed), whole.leaves, strict=True):
        assert mine.shape == theirs.shape
    last = torch.load(tmp_path / "whole/checkpoints/last.pt", weights_only=True)["model"]
    own = resumed.work.model.state_dict()
    assert all(torch.equal(last[name], own[name]) for name in own)


def test_more_classes_widen_the_classifier_of_pre_training(
    series: TaskSource, tmp_path: Path
) -> None:
    choices = {"algorithm": "pretrain", "more_classes": ("reverse",)}
    more = Trainer(
        TrainConfig.of(**SMALL | {"tasks": "<series>", "model": "mlp"} | choices),
        tmp_path / "run",
        source=series,
    )
    assert more.pretraining is not None
    assert more.pretraining.classifier is not None
    assert more.pretraining.classifier.out_features == 24  # 12 of 20 train


@pytest.mark.parametrize(
    ("choices", "kept"),
    [({}, True), ({"more_classes": ("reverse",)}, True), ({"augment": ("noise",)}, False)],
)
def test_nothing_frozen_is_kept_where_samples_change_each_time(
    series: TaskSource, tmp_path: Path, folder: Path, choices: dict[str, Any], kept: bool
) -> None:
    frozen = {"adapt": ("head.*",), "trained": ("head.*",)}
    trainer = trained(series, tmp_path / "run", **frozen, **choices)
    assert (trainer.source.input_shape != (12, 3)) is kept
    assert folder.exists() is kept


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"augment": ("nose",)}, "did you mean 'noise'"),
        ({"augment": ("auto", "noise")}, "augment is no list of names"),
        ({"more_classes": ()}, "more_classes is no list of names"),
    ],
)
def test_a_config_with_other_names_is_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(tasks="glyphs", **choices)
