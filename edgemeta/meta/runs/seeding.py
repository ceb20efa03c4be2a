"""Random numbers from a seed of our own: torch's global generators stay as the caller has them."""

from __future__ import annotations

from types import TracebackType

import torch
from torch import Tensor

from edgemeta.meta.runs.devices import CPU


class OwnRandomness:
    """Lets torch draw from a stream of our own inside a `with` block.

    Layers take their first weights from torch's global generators, and cannot be given others. So
    these hold our stream inside the block, and what the caller had outside of it. The next block
    goes on where the last one ended; blocks may be nested.

    Args:
        seed: of the stream.
        device: whose generator is used beside that of the CPU.

    Example:
        >>> randomness = OwnRandomness(seed=0)
        >>> with randomness:
        ...     layer = torch.nn.Linear(4, 2)  # the same each time
    """

    def __init__(self, seed: int, device: torch.device = CPU) -> None:
        self._device = device
        self._depth = 0
        outside = self._states()
        # Not torch.manual_seed, which seeds the generators of all GPUs as well.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        self._other = self._states()
        self._set(outside)

    def __enter__(self) -> None:
        if self._depth == 0:
            self._swap()
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._swap()

    def _swap(self) -> None:
        """Exchange the states of the generators for those that are put away."""
        here = self._states()
        self._set(self._other)
        self._other = here

    def _states(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self._device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self._device))
        return states

    def _set(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(states[1], self._device)
