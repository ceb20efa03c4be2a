"""The training tasks of each outer step; for a GPU, made ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing import get_all_start_methods

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from edgemeta.meta.inner.objective import Tasks, stack_episodes
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.classes import ClassSource

PARTIAL_STREAM = 4  # of the seed, beside those of the episodes and of pre-training
AHEAD = 4  # batches that each process has ready
FORK = "fork"


class Batches:
    """Batches of training tasks by the number of their outer step.

    Which tasks a batch has depends on its number alone, so that training resumes with the next.

    Args:
        source: of the tasks.
        size: of a task.
        seed: of their stream.
        share: which tasks of the stream are this process's in an outer step; none is a batch too.
        device: where the tensors are to be.
        processes: that make batches ahead; 0 makes each when it is asked for, as on systems
            without fork, where a process would need a copy of the source that was pickled.
        partial_share: of the steps whose support sets lack some classes; for a source with fixed
            labels alone.
    """

    def __init__(
        self,
        source: TaskSource,
        size: EpisodeSize,
        seed: int,
        share: Callable[[int], range],
        device: torch.device,
        processes: int = 0,
        partial_share: float = 0.0,
    ) -> None:
        self._made = _Made(source, size, seed, share, partial_share)
        self._device = device
        self._processes = processes if FORK in get_all_start_methods() else 0
        self._coming: Iterator[Tasks] = iter(())
        self._last: tuple[int, Tasks] | None = None

    def __getitem__(self, step: int) -> Tasks:
        """Return the tasks of an outer step; fastest if the steps are asked for in turn."""
        if self._last is None or step != self._last[0]:
            tasks = self._ahead(step) if self._processes else self._made[step]
            self._last = step, tasks.to(self._device)
        return self._last[1]

    def close(self) -> None:
        """End the processes; the next batch that is asked for starts others."""
        self._coming, self._last = iter(()), None

    def _ahead(self, step: int) -> Tasks:
        if self._last is None or step != self._last[0] + 1:
            self._coming = self._from(step)
        return next(self._coming)

    def _from(self, step: int) -> Iterator[Tasks]:
        loader = DataLoader(
            self._made,
            batch_size=None,  # what is made is a batch already
            sampler=count(step),
            num_workers=self._processes,
            multiprocessing_context=FORK,
            prefetch_factor=AHEAD,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # or it would draw from that of the model
        )
        return iter(loader)


class _Made(Dataset[Tasks]):
    """Batches as CPU tensors, by their number."""

    def __init__(
        self,
        source: TaskSource,
        size: EpisodeSize,
        seed: int,
        share: Callable[[int], range],
        partial_share: float,
    ) -> None:
        self._size, self._seed, self._share = size, seed, share
        self._source, self._lacking = source, source
        self._partial_share = partial_share
        if isinstance(source, ClassSource) and source.fixed:
            self._lacking = source.with_lacking_support()

    def __getitem__(self, step: int) -> Tasks:
        chance = np.random.default_rng([self._seed, PARTIAL_STREAM, step]).random()
        source = self._lacking if chance < self._partial_share else self._source
        return stack_episodes(
            [source.episode("train", self._size, self._seed, index) for index in self._share(step)]
        )
