"""What the outer loop works on: raw samples and the whole model, or features and the rest of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.meta.checkpoint import DataFacts
from edgemeta.meta.config import TrainConfig
from edgemeta.meta.features import on_features
from edgemeta.meta.inner import InnerLoop
from edgemeta.meta.parts import FewShotModel
from edgemeta.meta.shared_head import SharedHead
from edgemeta.meta.split import split_frozen
from edgemeta.tasks import EpisodeSize, TaskSource


class Work(NamedTuple):
    """What the outer loop works on.

    Attributes:
        loop: around the model, or around what of it is behind the features.
        source: of raw samples, or of features.
        facts: of the data that the source shows.
    """

    loop: InnerLoop
    source: TaskSource
    facts: DataFacts


def work_of(
    config: TrainConfig,
    loop: InnerLoop,
    source: TaskSource,
    facts: DataFacts,
    trained: Sequence[str],
    device: torch.device,
) -> Work:
    """Return what a training works on: features, where part of its model is frozen.

    Args:
        config: of the run.
        loop: around its model, on the device.
        source: of raw samples.
        facts: of the data.
        trained: names of the parameters that the outer loop moves.
        device: where to compute.
    """
    whole = Work(loop, source, facts)
    moving = {*loop.adapted, *trained}
    # A teacher looks at raw samples.
    if config.cache == "off" or config.teacher or not _has_more(loop.model, moving):
        return whole
    size = EpisodeSize(config.ways, config.shots, config.queries)
    episode = source.episode("train", size, config.seed, 0)
    x = torch.from_numpy(episode.query_x.copy()).to(device)
    split = split_frozen(loop.model, moving, x)
    if split is None or not _has_more(split.front, ()):
        return whole
    made = on_features(source, split.front, device)
    if made is None:
        return whole
    rest = split.rest
    if isinstance(loop.model, FewShotModel):
        rest = _few_shot(rest, loop.model.head, split.front(x).detach())
    return Work(
        InnerLoop(rest, loop.loss, loop.adapted, loop.update),
        made,
        replace(facts, input=TensorSpec(made.input_shape, made.input_dtype.name)),
    )


def _has_more(module: nn.Module, names: Sequence[str] | set[str]) -> bool:
    """Whether a module computes something with weights beside those of these names."""
    return any(name not in names for name, _ in module.named_parameters()) or any(
        hasattr(getattr(part, "graph", None), "key")  # an ONNX graph has weights of its own
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
