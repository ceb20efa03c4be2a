"""What stands between a body and a head: features centred, and brought to one length."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Neck = Literal["none", "cosine", "matrix"]
NECKS: tuple[Neck, ...] = get_args(Neck)

SCALE = 10.0
"""Length of what `CenteredCosine` returns before anything is learned. With a shared head of zeros,
one step at rate 1 makes logits of SCALE^2 / ways times a cosine: enough for confident answers."""


class CenteredCosine(nn.Module):
    """Features minus a mean, divided by their norm, times a learned scale.

    Source: SimpleShot's CL2N (Wang et al. 2019, "SimpleShot: Revisiting Nearest-Neighbor
    Classification for Few-Shot Learning", section 3.1); the scale is that of Gidaris and Komodakis
    2018, "Dynamic Few-Shot Visual Learning without Forgetting", equation 3.

    In front of a shared head of zeros, one inner step on samples of equally many per class is the
    nearest class mean by cosine: row k becomes the mean of class k minus the mean of all, times a
    constant.

    Shapes: (N, D) -> (N, D), float32.

    Args:
        features: D.
        scale: length of what comes out, at first.
        eps: the least norm that is divided by.

    Example:
        model = nn.Sequential(body, CenteredCosine(512).fit(body(x)), SharedHead(512))
    """

    mean: Tensor

    def __init__(self, features: int, scale: float = SCALE, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("mean", torch.zeros(features))
        self.scale = nn.Parameter(torch.tensor(scale))

    @torch.no_grad()
    def fit(self, features: Tensor) -> CenteredCosine:
        """Take the mean of training features (N, D), in place; return the module."""
        self.mean.copy_(features.mean(0))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, D) to (N, D), each of length `scale`."""
        return self.unit(x - self.mean) * self.scale

    def unit(self, x: Tensor) -> Tensor:
        """Bring vectors (N, D) to length 1."""
        return functional.normalize(x, dim=1, eps=self.eps)


class MatrixNeck(nn.Module):
    """A matrix that meta-training moves, in front of `CenteredCosine`; the identity at first.

    Shapes: (N, D) -> (N, D), float32.

    Args:
        features: D.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.cosine = CenteredCosine(features)
        self.weight = nn.Parameter(torch.eye(features))

    def fit(self, features: Tensor) -> MatrixNeck:
        """Take the mean of training features (N, D), in place; return the module."""
        self.cosine.fit(features)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, D) to (N, D)."""
        centred = self.cosine.unit(x - self.cosine.mean)
        return self.cosine.unit(centred @ self.weight) * self.cosine.scale


def make_neck(neck: Neck, features: int) -> nn.Module:
    """Return a neck for features (N, D); see `NECKS`."""
    if neck == "cosine":
        return CenteredCosine(features)
    return MatrixNeck(features) if neck == "matrix" else nn.Identity()
