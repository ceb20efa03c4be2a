"""Several processes that train one run together, as `torchrun` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

from edgemeta.meta.runs.devices import CPU

T = TypeVar("T")


class Ranks:
    """The processes of a training; without `torchrun` there is this one alone.

    Each process has the whole model and computes a share of the tasks of every batch. Rank 0
    alone validates and writes files.

    Args:
        device: of this process. NCCL exchanges between GPUs, if each process has one of its own;
            else gloo does.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
    """

    def __init__(self, device: torch.device = CPU) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.count = _processes()
        if self.count > 1 and not distributed.is_initialized():
            store, rank, count = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
            # The store outlives a restart: under the same keys, gloo would find dead addresses.
            attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
            store = distributed.PrefixStore(f"attempt-{attempt}", store)  # type: ignore[attr-defined]
            here = int(os.environ.get("LOCAL_WORLD_SIZE", self.count))
            own = device.type == "cuda" and here <= torch.cuda.device_count()
            backend = "nccl" if own else "gloo"
            distributed.init_process_group(backend, store=store, rank=rank, world_size=count)

    @staticmethod
    def alone() -> bool:
        """Whether this process trains by itself."""
        return _processes() == 1

    @staticmethod
    def restarted() -> bool:
        """Whether torchrun started this process anew after a failure."""
        return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0

    @property
    def first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def share(self, batch: range) -> range:
        """Return this rank's part of a batch; the parts differ by at most one task."""
        size = len(batch)
        cuts = [batch.start + size * k // self.count for k in (self.rank, self.rank + 1)]
        return range(*cuts)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all ranks, in one exchange."""
        if self.count == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [t.numel() for t in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, value: T) -> T:
        """Return rank 0's value on every rank."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def close(self) -> None:
        """End the exchange with the others."""
        if self.count > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
