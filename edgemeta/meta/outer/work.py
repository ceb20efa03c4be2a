"""What the outer loop works on: raw samples and the whole model, or features and the rest of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.parts import FewShotModel, NeckedModel
from edgemeta.meta.runs.building import (
    body_sha256,
    check_body,
    let_move,
    load_weights,
    make_model,
    start_from,
    trained_names,
)
from edgemeta.meta.runs.checkpoint import Checkpoint, DataStatistics
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.data_statistics import STATISTICS_EPISODES
from edgemeta.meta.runs.frozen import behind_frozen
from edgemeta.meta.runs.run import make_loop
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import input_of


class Work(NamedTuple):
    """What the outer loop works on.

    Attributes:
        model: the whole one, which checkpoints hold.
        trained: names of the parameters that the outer loop moves.
        body_sha256: see `Checkpoint`.
        loop: around the model, or around what of it is behind the features.
        source: of raw samples, or of features.
        statistics: of the data that the source shows.
    """

    model: nn.Module
    trained: list[str]
    body_sha256: str
    loop: InnerLoop
    source: TaskSource
    statistics: DataStatistics

    @property
    def light(self) -> bool:
        """Whether what is computed for a task is small: no convolution behind the features."""
        convolution = nn.modules.conv._ConvNd
        on_features = self.loop.model is not self.model
        return on_features and not any(
            isinstance(m, convolution) for m in self.loop.model.modules()
        )


def begin(
    config: TrainConfig,
    source: TaskSource,
    statistics: DataStatistics,
    given: nn.Module | None,
    checkpoint: Checkpoint | None,
    path: Path,
    device: torch.device,
    *,
    raw: bool = False,
) -> Work:
    """Make the model of a run, give it the weights that it starts from, and its work.

    Args:
        config: of the run.
        source: of raw samples.
        statistics: of the data.
        given: the model, where it is an object of Python.
        checkpoint: where a resumed run goes on; None for a new one.
        path: of the run, for errors.
        device: where to compute.
        raw: whether the outer loop needs raw samples, so that no features of them are kept.

    Raises:
        InputError: the model does not fit the data or the checkpoint.
    """
    size = EpisodeSize(config.ways, config.shots, config.queries)
    model = make_model(config, statistics, given, new=checkpoint is None)
    trained, body = trained_names(model, config.trained), body_sha256(model)
    if checkpoint:
        check_body(config.body, body, checkpoint.body_sha256)
        load_weights(model, checkpoint.model, path)
    starts = bool(config.start) and checkpoint is None
    fresh = start_from(model, Path(config.start), statistics.labels) if starts else None
    model.to(device)
    loop = make_loop(config, statistics, model)
    let_move(model, {*loop.adapted, *trained})
    cache = FeatureCache(source)
    if not checkpoint and (fresh is None or any(name.startswith("neck.") for name in fresh)):
        fit_neck(model, cache, size, device)
    if config.cache != "off" and not raw:
        behind = behind_frozen(loop, trained, cache, device)
        # Pre-training puts a head of its own behind the features that the model's head reads.
        own_head = config.objective != "classes" or config.labels == "fixed"
        if own_head or isinstance(behind[0].model, FewShotModel):
            loop, source = behind
    statistics = replace(statistics, input=input_of(source))
    return Work(model, trained, body, loop, source, statistics)


def fit_neck(
    model: nn.Module, cache: FeatureCache, size: EpisodeSize, device: torch.device
) -> None:
    """Let the neck of a model see the features of the training part.

    Args:
        model: others than a `NeckedModel` with a neck that has something to fit stay as they are.
        cache: of the source.
        size: of an episode; for sources without fixed samples, and for networks that are still
            trained, some episodes stand for the part.
        device: where to compute.
    """
    fit = getattr(getattr(model, "neck", None), "fit", None)
    if fit is None or not isinstance(model, NeckedModel):
        return
    features = cache.behind(model.body, device) if isinstance(model, BodyModel) else None
    if isinstance(features, DatasetSource):
        fit(torch.from_numpy(features.dataset.samples.read(features.rows["train"])).to(device))
        return
    fit_to_episodes(model, cache.source, size, device)


def fit_to_episodes(
    model: nn.Module, source: TaskSource, size: EpisodeSize, device: torch.device
) -> None:
    """Let the neck of a model see the features of some training episodes, the same each time.

    Args:
        model: others than a `NeckedModel` with a neck that has something to fit stay as they are.
        source: of raw samples.
        size: of an episode.
        device: where to compute.
    """
    fit = getattr(getattr(model, "neck", None), "fit", None)
    if fit is None or not isinstance(model, NeckedModel):
        return
    made = []
    for index in range(STATISTICS_EPISODES):
        x = torch.from_numpy(source.episode("train", size, 0, index).support_x)
        with torch.no_grad():
            made.append(model.embed(x.to(device)))
    fit(torch.cat(made))
