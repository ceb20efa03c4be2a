"""The models that `edgemeta train` offers. Any other `nn.Module` can be exported from Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.shared_head import SharedHead

Norm = Literal["group", "support", "transductive", "none"]
Pool = Literal["max", "stride"]
Head = Literal["linear", "shared"]
NORMS: tuple[Norm, ...] = ("group", "support", "transductive", "none")
POOLS: tuple[Pool, ...] = ("max", "stride")
HEADS: tuple[Head, ...] = ("linear", "shared")
MODELS = ("conv4", "mlp")


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
                "conv4 needs images", got=f"samples of shape {shape}", hint="use --model mlp"
            )
        self.channels_last = len(shape) == 3 and not (shape[0] in (1, 3) and min(shape[1:]) > 3)
        if layout == "vector":
            self.features = int(torch.Size(shape).numel())
        elif len(shape) == 2:
            self.features = 1
        else:
            self.features = shape[-1] if self.channels_last else shape[0]

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


class Conv4(FewShotModel):
    """The four-block network of the MAML paper (appendix A.1), from Matching Networks.

    Each block is a 3x3 convolution with `width` filters, norm, ReLU and either 2x2 max-pooling
    (as for miniImageNet) or stride 2 in the convolution (as for Omniglot).

    Args:
        preprocess: makes (N, C, H, W) of a raw batch.
        input: one raw sample; decides the head's size.
        outputs: ways.
        width: filters per block.
        pool: "max" or "stride".
        norm: "support" and "group" predict one sample at a time; "transductive" is for comparison.
        head: "linear" for a fixed number of classes, "shared" for any.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        input: TensorSpec,
        outputs: int,
        *,
        width: int = 64,
        pool: Pool = "max",
        norm: Norm = "group",
        head: Head = "linear",
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        stride = 2 if pool == "stride" else 1
        channels = [preprocess.features, *[width] * 4]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inside, outside, 3, stride=stride, padding=1),
                    _norm(norm, outside),
                    nn.ReLU(),
                    nn.MaxPool2d(2) if pool == "max" else nn.Identity(),
                )
                for inside, outside in pairwise(channels)
            )
        )
        for block in self.blocks:
            nn.init.kaiming_normal_(block[0].weight, nonlinearity="relu")  # type: ignore[index]
            nn.init.zeros_(block[0].bias)  # type: ignore[index]
        features = self._count_features(input, pool)
        self.head = _head(head, features, outputs)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)  # no class is likelier than another before adapting

    def features(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to (N, D)."""
        # (N, *shape) -> (N, C, H, W) -> (N, width * h * w)
        features: Tensor = self.blocks(self.preprocess(x)).flatten(1)
        return features

    def _count_features(self, input: TensorSpec, pool: Pool) -> int:
        sample = torch.zeros((2, *input.shape))
        try:
            with torch.no_grad():
                return int(self.blocks(self.preprocess(sample)).flatten(1).shape[1])
        except RuntimeError as error:
            raise InputError(
                f"conv4 with --pool {pool} halves the image four times",
                got=f"samples of shape {input.shape}",
                hint="use --pool stride" if pool == "max" else "use --model mlp",
            ) from error


class MLP(FewShotModel):
    """A multi-layer perceptron with ReLU; 40-40 is the sinusoid network of the MAML paper.

    Args:
        preprocess: makes (N, D) of a raw batch.
        outputs: ways, or the number of regression targets.
        target_shape: the outputs are given this shape where it is not None (regression).
        hidden: width of each hidden layer.
        head: "linear" for a fixed number of classes, "shared" for any.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        outputs: int,
        *,
        target_shape: tuple[int, ...] | None = None,
        hidden: Sequence[int] = (40, 40),
        head: Head = "linear",
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.target_shape = target_shape
        layers: list[nn.Module] = []
        for inside, outside in pairwise((preprocess.features, *hidden)):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = _head(head, hidden[-1], outputs)

    def features(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to (N, hidden[-1])."""
        features: Tensor = self.body(self.preprocess(x))
        return features

    def read(self, features: Tensor) -> Tensor:
        """Map features (N, D) to (N, outputs), or to (N, *target_shape)."""
        output = super().read(features)
        if self.target_shape is not None:
            output = output.view(-1, *self.target_shape)  # (N, outputs) -> (N, *target_shape)
        return output


def build_model(
    name: str,
    input: TensorSpec,
    *,
    ways: int | None = None,
    target_shape: tuple[int, ...] = (),
    width: int = 64,
    pool: Pool = "max",
    norm: Norm = "group",
    hidden: Sequence[int] = (40, 40),
    head: Head = "linear",
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> nn.Module:
    """Build one of `MODELS` with fresh weights (drawn from torch's global generator).

    Args:
        name: "conv4" or "mlp".
        input: one raw sample.
        ways: number of classes; None for regression, whose target is `target_shape`.
        target_shape: shape of one regression target.
        width: conv4: filters per block.
        pool: conv4: "max" or "stride".
        norm: conv4: see `Conv4`.
        hidden: mlp: width of each hidden layer.
        head: "linear" for a fixed number of classes, "shared" for any.
        mean: see `Preprocess`.
        std: see `Preprocess`.

    Raises:
        InputError: the model does not fit the data.
    """
    if head == "shared" and ways is None:
        raise InputError("a shared head is for classification", hint="use --head linear")
    if name == "mlp":
        preprocess = Preprocess(input, "vector", mean, std)
        if ways is not None:
            return MLP(preprocess, ways, hidden=hidden, head=head)
        outputs = int(torch.Size(target_shape).numel())
        return MLP(preprocess, outputs, target_shape=target_shape, hidden=hidden)
    if name == "conv4":
        if ways is None:
            raise InputError("conv4 is for classification", hint="use --model mlp")
        preprocess = Preprocess(input, "image", mean, std)
        return Conv4(preprocess, input, ways, width=width, pool=pool, norm=norm, head=head)
    raise InputError("unknown model", got=name, expected=" or ".join(MODELS))


def _head(head: Head, features: int, outputs: int) -> nn.Linear | SharedHead:
    return SharedHead(features) if head == "shared" else nn.Linear(features, outputs)


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "support":
        return nn.BatchNorm2d(channels)
    if norm == "transductive":
        return nn.BatchNorm2d(channels, track_running_stats=False)
    if norm == "group":
        return nn.GroupNorm(min(8, channels), channels)
    return nn.Identity()
