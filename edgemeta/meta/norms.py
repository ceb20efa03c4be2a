"""Batch norm for devices: the support set's statistics become part of the state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SupportNorm(nn.Module):
    """Batch norm whose statistics are those of the last support set.

    In training mode it normalises by the batch and keeps the batch's mean and (biased) variance;
    in eval mode it normalises by what it kept. Unlike `nn.BatchNorm2d` the statistics carry a
    gradient, so that meta-training sees how they move with the weights, and there is no running
    average: adapting once or step by step gives the same state.

    Shapes: (N, C, *) -> (N, C, *), float32.

    Args:
        channels: C.
        eps: added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @classmethod
    def like(cls, norm: nn.modules.batchnorm._BatchNorm) -> SupportNorm:
        """Return a support norm with the parameters and statistics of a batch norm."""
        made = cls(norm.num_features, norm.eps)
        for name in ("weight", "bias"):
            value = getattr(norm, name)
            setattr(made, name, None if value is None else value)
        for name in ("running_mean", "running_var"):
            if (value := getattr(norm, name)) is not None:
                setattr(made, name, value)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, *) over all but the channel axis."""
        if self.training:
            axes = [0, *range(2, x.ndim)]
            self.running_mean = x.mean(axes)
            self.running_var = x.var(axes, correction=0)
            return torch.batch_norm(
                x, self.weight, self.bias, None, None, True, 0.0, self.eps, False
            )
        scale = torch.rsqrt(self.running_var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -self.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        per_channel = (-1, *[1] * (x.ndim - 2))
        return x * scale.view(per_channel) + shift.view(per_channel)


def with_support_norms(model: nn.Module) -> nn.Module:
    """Replace, in place, every batch norm that tracks statistics by a `SupportNorm`.

    A batch norm without tracked statistics (`track_running_stats=False`) is transductive by its
    maker's choice - it predicts from the statistics of the queries - and stays as it is.

    Returns:
        The model, or what replaces it where the model itself is a batch norm.
    """
    if isinstance(model, nn.modules.batchnorm._BatchNorm):
        return SupportNorm.like(model) if model.track_running_stats else model
    for name, child in model.named_children():
        setattr(model, name, with_support_norms(child))
    return model
