"""Samples without an order that is known, as float32 (N, *shape)."""

from __future__ import annotations

import torch
from torch import Tensor

from edgemeta.meta.augment.draws import Draws, Scale

NOISE = 0.2  # standard deviations


def noise(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Add white noise of up to 0.2 standard deviations; each sample its own."""
    level = draws.uniform(0, NOISE, len(x), *[1] * (x.ndim - 1)) * scale.std
    return torch.addcmul(x, draws.normal(*x.shape), level)
