"""What the outer loop works on: raw samples and the whole model, or features and the rest of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.norms import takes_batch_statistics
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.features import on_features
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.models.split import Split, split_frozen
from edgemeta.meta.runs.building import (
    BODY,
    body_sha256,
    check_body,
    let_move,
    load_weights,
    make_model,
    start_from,
    trained_names,
)
from edgemeta.meta.runs.checkpoint import Checkpoint, DataFacts
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import make_loop
from edgemeta.meta.runs.statistics import STATISTICS_EPISODES
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.dataset_source import DatasetSource


class Work(NamedTuple):
    """What the outer loop works on.

    Attributes:
        model: the whole one, which checkpoints hold.
        trained: names of the parameters that the outer loop moves.
        body_sha256: see `Checkpoint`.
        loop: around the model, or around what of it is behind the features.
        source: of raw samples, or of features.
        facts: of the data that the source shows.
    """

    model: nn.Module
    trained: list[str]
    body_sha256: str
    loop: InnerLoop
    source: TaskSource
    facts: DataFacts

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
    facts: DataFacts,
    given: nn.Module | None,
    checkpoint: Checkpoint | None,
    path: Path,
    device: torch.device,
) -> Work:
    """Make the model of a run, give it the weights that it starts from, and its work.

    Args:
        config: of the run.
        source: of raw samples.
        facts: of the data.
        given: the model, where it is an object of Python.
        checkpoint: where a resumed run goes on; None for a new one.
        path: of the run, for errors.
        device: where to compute.

    Raises:
        InputError: the model does not fit the data or the checkpoint.
    """
    size = EpisodeSize(config.ways, config.shots, config.queries)
    model = make_model(config, facts, given, new=checkpoint is None)
    trained, body = trained_names(model, config.trained), body_sha256(model)
    if checkpoint:
        check_body(config.body, body, checkpoint.body_sha256)
        load_weights(model, checkpoint.model, path)
    elif config.start:
        start_from(model, Path(config.start))
    model.to(device)
    loop = make_loop(config, facts, model)
    let_move(model, {*loop.adapted, *trained})
    if not checkpoint and not config.start:
        fit_neck(model, source, size, device)
    work = Work(model, trained, body, loop, source, facts)
    # A teacher looks at raw samples.
    return work if config.cache == "off" or config.teacher else _on_features(work, size, device)


def _on_features(work: Work, size: EpisodeSize, device: torch.device) -> Work:
    """Return a work on features, where that leaves something out."""
    moving = {*work.loop.adapted, *work.trained}
    if not _has_more(work.model, moving):
        return work
    x = torch.from_numpy(work.source.episode("train", size, 0, 0).query_x.copy()).to(device)
    split = _behind_body(work.model, moving) or split_frozen(work.model, moving, x)
    if split is None or not _has_more(split.front, ()):
        return work
    source = on_features(work.source, split.front, device)
    if source is None:
        return work
    rest = split.rest
    if isinstance(work.model, FewShotModel) and not isinstance(rest, FewShotModel):
        rest = _few_shot(rest, work.model.head, split.front(x).detach())
    input = TensorSpec(source.input_shape, source.input_dtype.name)
    return work._replace(
        loop=InnerLoop(rest, work.loop.loss, work.loop.adapted, work.loop.update),
        source=source,
        facts=replace(work.facts, input=input),
    )


def _behind_body(model: nn.Module, moving: Collection[str]) -> Split | None:
    """Cut a model with a frozen body right behind it, where the neck has had its features."""
    if not isinstance(model, BodyModel):
        return None
    if any(name.startswith(BODY) for name in moving):
        return None
    if any(takes_batch_statistics(module) for module in model.body.modules()):
        return None
    return Split(model.body, BodyModel(nn.Identity(), model.neck, model.head).eval())


def fit_neck(model: nn.Module, source: TaskSource, size: EpisodeSize, device: torch.device) -> None:
    """Let the neck behind a pre-trained body see the features of the training part.

    Args:
        model: others than a `BodyModel` with a neck that has something to fit stay as they are.
        source: of raw samples.
        size: of an episode, for a source without fixed samples: some episodes stand for the part.
        device: where to compute.
    """
    fit = getattr(getattr(model, "neck", None), "fit", None)
    if fit is None or not isinstance(model, BodyModel):
        return
    features = on_features(source, model.body, device)
    if isinstance(features, DatasetSource):
        fit(torch.from_numpy(features.dataset.samples.read(features.rows["train"])).to(device))
        return
    made = []
    for index in range(STATISTICS_EPISODES):
        x = torch.from_numpy(source.episode("train", size, 0, index).support_x)
        with torch.no_grad():
            made.append(model.body(x.to(device)))
    fit(torch.cat(made))


def _has_more(module: nn.Module, names: Collection[str]) -> bool:
    """Whether a module computes something with weights beside those of these names."""
    return any(name not in names for name, _ in module.named_parameters()) or any(
        isinstance(part, OnnxModule)  # whose weights are no parameters
        for part in module.modules()
    )


class _Rest(FewShotModel):
    """What is behind the features, itself as features in front of a head."""

    def __init__(
        self, rest: nn.Module, head: nn.Linear | SharedHead, front: nn.Module, read: nn.Module
    ) -> None:
        super().__init__()
        for name, child in rest.named_children():
            self.add_module(name, child)
        self.head = head
        self._parts = front, read  # a tuple: their layers are registered above, under their names

    def features(self, x: Tensor) -> Tensor:
        """Map features of the body to those that the head reads, (N, D)."""
        features: Tensor = self._parts[0](x)
        return features

    def read(self, features: Tensor) -> Tensor:
        """Map features (N, D) to outputs (N, outputs)."""
        output: Tensor = self._parts[1](features)
        return output


def _few_shot(rest: nn.Module, head: nn.Linear | SharedHead, x: Tensor) -> nn.Module:
    """Return the rest of a few-shot model as one; as it is where its head cannot be told apart."""
    own = dict(rest.named_parameters())
    names = [name for name in own if name.startswith("head.")]
    split = split_frozen(rest, names, x)
    if split is not None:
        front, read = split
    elif len(names) == len(own):
        front, read = nn.Identity(), rest
    else:
        return rest
    if tuple(front(x).shape) != (len(x), head.in_features):
        return rest
    return _Rest(rest, head, front, read).eval()
