"""Low-rank adapters: a few numbers per layer that adapt in place of its whole weight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgemeta.errors import InputError, UnsupportedModelError

LOW_RANK = ("*.left", "*.right")
"""What `adapt` has to name for the adapters alone."""


class LowRank(nn.Module):
    """weight + left @ right, where left starts at zero: at first, nothing changes.

    Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.

    Args:
        weight: (out, *inside) the weight that gets an adapter.
        rank: of the product.
        generator: of right's random values.
    """

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.left = nn.Parameter(torch.zeros(rows, rank))
        right = torch.randn(rank, columns, generator=generator) / math.sqrt(columns)
        self.right = nn.Parameter(right)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight (out, *inside)."""
        return weight + (self.left @ self.right).view_as(weight)


def add_low_rank(
    model: nn.Module, layers: Sequence[str] = ("*",), *, rank: int = 4, seed: int = 0
) -> nn.Module:
    """Give layers low-rank adapters, in place.

    Args:
        model: any module.
        layers: shell patterns over the names of modules; those whose `weight` has two or more axes
            get an adapter.
        rank: of each adapter.
        seed: of their random half.

    Returns:
        The model; pass `adapt=LOW_RANK` to `export_bundle` to adapt the adapters alone.

    Raises:
        InputError: rank is not positive.
        UnsupportedModelError: no layer matches.
    """
    if rank < 1:
        raise InputError("rank is too small", got=rank, expected="at least 1")
    generator = torch.Generator().manual_seed(seed)
    chosen = [
        module
        for name, module in model.named_modules()
        if any(fnmatchcase(name, pattern) for pattern in layers)
        and isinstance(getattr(module, "weight", None), nn.Parameter)
        and module.weight.ndim >= 2
    ]
    if not chosen:
        raise UnsupportedModelError(
            "no layer for a low-rank adapter", got=", ".join(layers), expected="names of modules"
        )
    for module in chosen:
        weight: Tensor = module.weight
        parametrize.register_parametrization(module, "weight", LowRank(weight, rank, generator))
    return model
