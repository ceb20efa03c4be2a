"""What the models are made of: preprocessing, norms, heads."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.tasks.kinds import channels_last, image_channels

Norm = Literal["group", "batch", "support", "transductive", "none"]
Pool = Literal["max", "stride"]
Head = Literal["linear", "shared"]
NORMS: tuple[Norm, ...] = ("group", "batch", "support", "transductive", "none")
POOLS: tuple[Pool, ...] = ("max", "stride")
HEADS: tuple[Head, ...] = ("linear", "shared")


class Preprocess(nn.Module):
    """Raw samples to what the network wants, inside the graph: no skew between desk and device.

    (N, *shape) of any dtype -> (N, C, H, W) float32 for "image", (N, D) for "vector". An image may
    be (H, W), (H, W, C) or, with C of 1 or 3 in front and larger sides, (C, H, W).

    Args:
        input: one sample.
        layout: what comes out.
        mean: subtracted; scalar or over the last axis of the input.
        std: divided by; like mean.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        input: TensorSpec,
        layout: Literal["image", "vector"],
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        shape = input.shape
        if layout == "image" and len(shape) not in (2, 3):
            raise InputError(
                "the model needs images", got=f"samples of shape {shape}", hint="use --model mlp"
            )
        self.channels_last = channels_last(shape)
        self.features = math.prod(shape) if layout == "vector" else image_channels(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and lay out (N, *shape)."""
        x = (x.float() - self.mean) / self.std
        if self.layout == "vector":
            return x.flatten(1)  # (N, *shape) -> (N, D)
        if x.ndim == 3:
            return x.unsqueeze(1)  # (N, H, W) -> (N, 1, H, W)
        return x.permute(0, 3, 1, 2) if self.channels_last else x  # (N, H, W, C) -> (N, C, H, W)


class FewShotModel(nn.Module, ABC):
    """A body that makes features, and a head that reads them: `head(features(x))`.

    Attributes:
        head: the last layer; its parameters are named "head.*".
    """

    head: nn.Linear | SharedHead

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to features (N, D)."""

    def read(self, features: Tensor) -> Tensor:
        """Map features (N, D) to outputs (N, outputs)."""
        output: Tensor = self.head(features)
        return output

    def forward(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to outputs (N, outputs)."""
        return self.read(self.features(x))


class NeckedModel(FewShotModel):
    """A few-shot model whose features come out of a neck (see `edgemeta.meta.models.neck`).

    Attributes:
        neck: maps (N, D) to (N, D).
    """

    neck: nn.Module

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to what the neck takes, (N, D)."""

    def features(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to features (N, D)."""
        features: Tensor = self.neck(self.embed(x))
        return features


def make_head(head: Head, features: int, outputs: int) -> nn.Linear | SharedHead:
    """Return a head (N, features) -> (N, outputs)."""
    return SharedHead(features) if head == "shared" else nn.Linear(features, outputs)


def zeroed(head: nn.Linear | SharedHead) -> nn.Linear | SharedHead:
    """Set a head to zeros, in place: no class is likelier than another before adapting."""
    for parameter in head.parameters():
        nn.init.zeros_(parameter)
    return head


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a norm over (N, channels, H, W); see `NORMS`."""
    if norm == "batch":  # its statistics stay as pre-training left them
        return nn.BatchNorm2d(channels).eval()
    if norm == "support":
        return nn.BatchNorm2d(channels)
    if norm == "transductive":
        return nn.BatchNorm2d(channels, track_running_stats=False)
    if norm == "group":
        return nn.GroupNorm(min(8, channels), channels)
    return nn.Identity()
