"""What every augmentation is given: random numbers of its own, and how large the data's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


class Draws:
    """A stream of random numbers on a device; torch's global generators stay as they are.

    Args:
        seed: integers >= 0; the same ones give the same stream.
        device: where the numbers are to be.
    """

    def __init__(self, seed: Sequence[int], device: torch.device) -> None:
        (state,) = np.random.SeedSequence(tuple(seed)).generate_state(1, np.uint64)
        self.device = device
        self._generator = torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return float32 of a shape, uniform over low..high."""
        drawn = torch.rand(shape, generator=self._generator, device=self.device)
        return drawn.mul_(high - low).add_(low)

    def normal(self, *shape: int) -> Tensor:
        """Return float32 of a shape, standard normal."""
        return torch.randn(shape, generator=self._generator, device=self.device)


@dataclass(frozen=True)
class Scale:
    """How large the numbers of the training part are, for each entry of a sample's last axis.

    Attributes:
        mean: (C,) float32.
        std: (C,) float32.
        whole: whether the data are integers.
    """

    mean: Tensor
    std: Tensor
    whole: bool = False

    def to(self, device: torch.device) -> Scale:
        """Return the same on a device."""
        return Scale(self.mean.to(device), self.std.to(device), self.whole)
