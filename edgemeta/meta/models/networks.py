"""The models that `edgemeta train` offers. Any other `nn.Module` can be exported from Python."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.models.neck import Neck, make_neck
from edgemeta.meta.models.parts import (
    Head,
    NeckedModel,
    Norm,
    Pool,
    Preprocess,
    make_head,
    make_norm,
    zeroed,
)

MODELS = ("conv4", "ds-cnn", "mlp")


class Conv4(NeckedModel):
    """The four-block network of the MAML paper (appendix A.1), from Matching Networks.

    Each block is a 3x3 convolution with `width` filters, norm, ReLU and either 2x2 max-pooling
    (as for miniImageNet) or stride 2 in the convolution (as for Omniglot).

    Args:
        preprocess: makes (N, C, H, W) of a raw batch.
        input: one raw sample; decides the head's size.
        outputs: ways.
        width: filters per block.
        pool: "max" or "stride".
        norm: "support", "group" and "batch" predict one sample at a time; "batch" keeps the
            statistics of pre-training; "transductive" is for comparison.
        head: "linear" for a fixed number of classes, "shared" for any.
        neck: see `edgemeta.meta.models.neck`.
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
        neck: Neck = "none",
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        stride = 2 if pool == "stride" else 1
        channels = [preprocess.features, *[width] * 4]
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inside, outside, 3, stride=stride, padding=1),
                    make_norm(norm, outside),
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
        self.neck = make_neck(neck, features)
        self.head = zeroed(make_head(head, features, outputs))

    def embed(self, x: Tensor) -> Tensor:
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
                hint="use --pool stride; for recordings --model ds-cnn"
                if pool == "max"
                else "use --model mlp",
            ) from error


class DSCNN(NeckedModel):
    """A keyword spotter of depthwise separable convolutions, with some 30,000 parameters.

    A 10x4 convolution with stride 2, four blocks of a depthwise 3x3 and a pointwise convolution,
    each with norm and ReLU, and the mean over time and frequency. Source: Zhang et al. 2017,
    "Hello Edge: Keyword Spotting on Microcontrollers", DS-CNN of small size.

    Args:
        preprocess: makes (N, 1, time, coefficients) of a raw batch.
        outputs: ways.
        width: filters of each convolution.
        norm: see `Conv4`.
        head: see `Conv4`.
        neck: see `Conv4`.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        outputs: int,
        *,
        width: int = 64,
        norm: Norm = "group",
        head: Head = "linear",
        neck: Neck = "none",
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        first = nn.Conv2d(preprocess.features, width, (10, 4), stride=2, padding=(5, 1))
        layers: list[nn.Module] = [first, make_norm(norm, width), nn.ReLU()]
        for _ in range(4):
            depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
            pointwise = nn.Conv2d(width, width, 1)
            for convolution in (depthwise, pointwise):
                layers += [convolution, make_norm(norm, width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None  # noqa: S101
                nn.init.zeros_(layer.bias)
        self.neck = make_neck(neck, width)
        self.head = zeroed(make_head(head, width, outputs))

    def embed(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to (N, width)."""
        # (N, *shape) -> (N, C, time, coefficients) -> (N, width, t, c) -> (N, width)
        features: Tensor = self.body(self.preprocess(x)).mean((2, 3))
        return features


class MLP(NeckedModel):
    """A multi-layer perceptron with ReLU; 40-40 is the sinusoid network of the MAML paper.

    Args:
        preprocess: makes (N, D) of a raw batch.
        outputs: ways, or the number of regression targets.
        target_shape: the outputs are given this shape where it is not None (regression).
        hidden: width of each hidden layer.
        head: "linear" for a fixed number of classes, "shared" for any.
        neck: see `Conv4`.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        outputs: int,
        *,
        target_shape: tuple[int, ...] | None = None,
        hidden: Sequence[int] = (40, 40),
        head: Head = "linear",
        neck: Neck = "none",
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.target_shape = target_shape
        layers: list[nn.Module] = []
        for inside, outside in pairwise((preprocess.features, *hidden)):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.neck = make_neck(neck, hidden[-1])
        self.head = make_head(head, hidden[-1], outputs)

    def embed(self, x: Tensor) -> Tensor:
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
    neck: Neck = "none",
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> nn.Module:
    """Build one of `MODELS` with fresh weights (drawn from torch's global generator).

    Args:
        name: one of `MODELS`.
        input: one raw sample.
        ways: number of classes; None for regression, whose target is `target_shape`.
        target_shape: shape of one regression target.
        width: conv4, ds-cnn: filters per convolution.
        pool: conv4: "max" or "stride".
        norm: conv4, ds-cnn: see `Conv4`.
        hidden: mlp: width of each hidden layer.
        head: "linear" for a fixed number of classes, "shared" for any.
        neck: behind the body, for classification; see `edgemeta.meta.models.neck`.
        mean: see `Preprocess`.
        std: see `Preprocess`.

    Raises:
        InputError: the model does not fit the data.
    """
    if head == "shared" and ways is None:
        raise InputError("a shared head is for classification", hint="use --head linear")
    if neck != "none" and ways is None:
        raise InputError("a neck is for classification", hint="use --neck none")
    if name == "mlp":
        preprocess = Preprocess(input, "vector", mean, std)
        if ways is not None:
            return MLP(preprocess, ways, hidden=hidden, head=head, neck=neck)
        outputs = int(torch.Size(target_shape).numel())
        return MLP(preprocess, outputs, target_shape=target_shape, hidden=hidden)
    if name in MODELS:
        if ways is None:
            raise InputError(f"{name} is for classification", hint="use --model mlp")
        preprocess = Preprocess(input, "image", mean, std)
        if name == "ds-cnn":
            return DSCNN(preprocess, ways, width=width, norm=norm, head=head, neck=neck)
        return Conv4(
            preprocess, input, ways, width=width, pool=pool, norm=norm, head=head, neck=neck
        )
    raise InputError("unknown model", got=name, expected=" or ".join(MODELS))
