"""The models that the speed benchmarks adapt, and their data.

A case is a model, the shape of a sample, and a size of the support set. Each model is a chain of
named parts, so that "adapt the last parts only" is a number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """One adaptation to measure.

    Attributes:
        name: of the case.
        make: builds the model: (N, *shape) -> (N, ways) logits.
        shape: of one sample.
        ways: classes.
        samples: size of the support set.
        frozen: how many of the model's leading parts do not adapt.
    """

    name: str
    make: Callable[[], nn.Sequential]
    shape: tuple[int, ...]
    ways: int
    samples: int
    frozen: int = 0

    def model(self) -> nn.Sequential:
        """Return the model, the same at each call, with weights that let signals through."""
        torch.manual_seed(0)
        model = self.make().eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for module in list(model)[: self.frozen]:
            module.requires_grad_(False)
        return model

    @property
    def adapt(self) -> tuple[str, ...]:
        """Patterns over the names of the parameters that adapt."""
        parts = list(self.make().named_children())[self.frozen :]
        return tuple(f"{name}.*" for name, part in parts if any(True for _ in part.parameters()))

    def support(self, samples: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return (samples, *shape) random samples and their labels, each class in turn."""
        samples = samples or self.samples
        x = np.random.default_rng(0).normal(size=(samples, *self.shape))
        return x.astype(np.float32), np.arange(samples) % self.ways


def _chain(**parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))


# --- small ones


def mlp(features: int = 561, hidden: int = 64, ways: int = 6) -> nn.Sequential:
    """Two hidden layers with ReLU, on features of a phone's motion sensors."""
    return _chain(
        layer1=nn.Linear(features, hidden),
        relu1=nn.ReLU(),
        layer2=nn.Linear(hidden, hidden),
        relu2=nn.ReLU(),
        head=nn.Linear(hidden, ways),
    )


def conv4(width: int, norm: bool = False, ways: int = 5) -> nn.Sequential:
    """Four blocks of 3x3 convolution, ReLU and 2x2 max-pooling (MAML, appendix A.1).

    Args:
        width: filters per block.
        norm: batch norm with batch statistics after each convolution.
        ways: classes.
    """
    blocks = (
        nn.Sequential(
            nn.Conv2d(inside, width, 3, padding=1),
            *([nn.BatchNorm2d(width, track_running_stats=False)] if norm else []),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        for inside in (1, width, width, width)
    )
    return _chain(body=nn.Sequential(*blocks), flatten=nn.Flatten(), head=nn.Linear(width, ways))


def ds_cnn(width: int = 64, ways: int = 12) -> nn.Sequential:
    """A keyword spotter of depthwise separable convolutions (https://arxiv.org/abs/1711.07128)."""
    blocks = (
        nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.ReLU(),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
        )
        for _ in range(4)
    )
    return _chain(
        stem=nn.Conv2d(1, width, (10, 4), stride=2, padding=(5, 1)),  # (49, 10) -> (25, 5)
        body=nn.Sequential(*blocks),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=nn.Linear(width, ways),
    )


class LastState(nn.Module):
    """A GRU's hidden state after the last time step."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.layer = nn.GRU(features, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, features) -> (N, hidden)."""
        output: Tensor = self.layer(x)[0][:, -1]
        return output


def gru(features: int = 6, hidden: int = 32, ways: int = 6) -> nn.Sequential:
    """A recurrent classifier of sensor windows."""
    return _chain(gru=LastState(features, hidden), head=nn.Linear(hidden, ways))


# --- larger ones


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions with batch statistics, a 1x1 shortcut, and max-pooling."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inside, outside, outside):
            layers += [*_convolution(channels, outside, 3), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Sequential(*_convolution(inside, outside, 1))
        self.end = nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H // 2, W // 2)."""
        output: Tensor = self.end(self.body(x) + self.shortcut(x))
        return output


def _convolution(inside: int, outside: int, size: int) -> list[nn.Module]:
    norm = nn.BatchNorm2d(outside, track_running_stats=False)
    return [nn.Conv2d(inside, outside, size, padding=size // 2, bias=False), norm]


def resnet12(ways: int = 5) -> nn.Sequential:
    """The few-shot ResNet-12 (https://arxiv.org/abs/1904.03758), without dropout."""
    blocks = (ResidualBlock(*channels) for channels in pairwise((3, 64, 160, 320, 640)))
    return _chain(
        body=nn.Sequential(*blocks),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=nn.Linear(640, ways),
    )


class FixedNorm(nn.Module):
    """A batch norm whose statistics and factors are fixed: a scale and a shift per channel."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.empty(channels, 1, 1).uniform_(0.7, 0.9))
        self.register_buffer("shift", torch.empty(channels, 1, 1).normal_(std=0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W), the same shape out."""
        return x * self.scale + self.shift


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 wider, 3x3 depthwise, 1x1 narrower, and x added where it fits."""

    def __init__(self, inside: int, outside: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inside * expand
        self.adds = stride == 1 and inside == outside
        self.body = nn.Sequential(
            *(_fixed(inside, wide, 1) if expand > 1 else []),
            *_fixed(wide, wide, 3, stride=stride, groups=wide),
            *_fixed(wide, outside, 1)[:-1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H / stride, W / stride)."""
        output: Tensor = self.body(x)
        return x + output if self.adds else output


def _fixed(
    inside: int, outside: int, size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, FixedNorm(outside), nn.ReLU6()]


def mobilenet_v2(ways: int = 5) -> nn.Sequential:
    """MobileNetV2 (https://arxiv.org/abs/1801.04381, table 2) with fixed norms."""
    inside, blocks = 32, list[nn.Module]()
    for expand, outside, count, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for k in range(count):
            blocks.append(InvertedResidual(inside, outside, stride if k == 0 else 1, expand))
            inside = outside
    return _chain(
        stem=nn.Sequential(*_fixed(3, 32, 3, stride=2)),
        body=nn.Sequential(*blocks[:-1]),
        last_block=blocks[-1],
        last_layer=nn.Sequential(*_fixed(320, 1280, 1)),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        head=nn.Linear(1280, ways),
    )


class MeanOverTime(nn.Module):
    """The mean over axis 1."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, D)."""
        return x.mean(1)


def transformer(features: int = 6, width: int = 64, ways: int = 6) -> nn.Sequential:
    """Four encoder layers with four heads over a sensor window, then the mean over time."""
    layers = (
        nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        for _ in range(4)
    )
    return _chain(
        embed=nn.Linear(features, width),
        body=nn.Sequential(*layers),
        mean=MeanOverTime(),
        head=nn.Linear(width, ways),
    )


_GLYPH = (1, 28, 28)
_KEYWORD = (1, 49, 10)

CASES = {
    case.name: case
    for case in (
        Case("mlp", mlp, (561,), 6, 30),
        Case("conv4-32", partial(conv4, 32), _GLYPH, 5, 5),
        Case("conv4-32-25", partial(conv4, 32), _GLYPH, 5, 25),
        Case("conv4-64-bn", partial(conv4, 64, norm=True), _GLYPH, 5, 5),
        Case("ds-cnn", ds_cnn, _KEYWORD, 12, 5),
        Case("ds-cnn-25", ds_cnn, _KEYWORD, 12, 25),
        Case("gru", gru, (50, 6), 6, 25),
        Case("head-only", partial(conv4, 64), _GLYPH, 5, 5, frozen=2),
        Case("resnet12", resnet12, (3, 84, 84), 5, 5),
        Case("mobilenet-v2", mobilenet_v2, (3, 96, 96), 5, 5, frozen=2),
        Case("transformer", transformer, (50, 6), 6, 5),
    )
}
