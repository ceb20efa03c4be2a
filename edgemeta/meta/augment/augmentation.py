"""The augmentation of one training, made of the functions of the table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta.meta.augment.draws import Draws, Scale
from edgemeta.meta.augment.images import warp
from edgemeta.meta.augment.table import FUNCTIONS, MATRICES, chosen
from edgemeta.meta.inner.objective import Tasks
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.kinds import DataKind, channels_last, data_kind
from edgemeta.tasks.source import EpisodeSize, TaskSource

MEASURED = 256  # samples: a standard deviation within 5 %
_MEASURE_SEED = 0
AUGMENT_STREAM = 4  # of a training's seed, beside those of episodes and of pre-training batches
SCALED: tuple[DataKind, ...] = ("spectra", "series", "vectors")  # whose functions look at `Scale`


class Augmentation:
    """Makes changed copies of samples.

    Args:
        names: of `FUNCTIONS[kind]`, and for images of `MATRICES`.
        kind: of the data.
        scale: of the data.
    """

    def __init__(self, names: Sequence[str], kind: DataKind, scale: Scale) -> None:
        self.names, self.kind, self._scale = tuple(names), kind, scale
        matrices = MATRICES if kind == "images" else {}
        self._matrices = [matrix for name, matrix in matrices.items() if name in names]
        self._changes = [change for name, change in FUNCTIONS[kind].items() if name in names]

    def __call__(self, x: Tensor, seed: Sequence[int]) -> Tensor:
        """Return changed copies, each sample changed by numbers of its own.

        Args:
            x: (N, *shape) as the source shows them.
            seed: integers >= 0; the same ones make the same copies of the same samples.

        Returns:
            (N, *shape) in the dtype of x, on its device; integers are rounded, and stay in the
            range of their dtype.
        """
        draws, scale = Draws(seed, x.device), self._scale.to(x.device)
        changed = _laid_out(x.float(), self.kind)
        if self._matrices:
            matrices = [matrix(changed, draws) for matrix in self._matrices]
            changed = warp(changed, reduce(torch.bmm, matrices))
        for change in self._changes:
            changed = change(changed, draws, scale)
        if self.kind == "images" and channels_last(x.shape[1:]):
            changed = changed.permute(0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
        return _as_dtype(changed.reshape(x.shape), x.dtype)

    def of_tasks(self, tasks: Tasks, seed: Sequence[int]) -> Tasks:
        """Return tasks with changed support and query samples; see `__call__`.

        Args:
            tasks: several, with a leading axis.
            seed: as for `__call__`.
        """
        x = torch.cat([tasks.support_x, tasks.query_x], 1)  # (T, S + Q, *shape)
        # (T, S + Q, *shape) -> (T * (S + Q), *shape) -> (T, S + Q, *shape)
        changed = self(x.flatten(0, 1), seed).view(x.shape)
        support = tasks.support_x.shape[1]
        return tasks._replace(support_x=changed[:, :support], query_x=changed[:, support:])


def make_augmentation(names: Sequence[str], source: TaskSource) -> Augmentation | None:
    """Make the augmentation that an option asks for.

    Args:
        names: ("none",), ("auto",) for `auto_names`, or names.
        source: of raw samples; of its training part some are drawn, to see how large they are.

    Returns:
        None where nothing is to change.

    Raises:
        InputError: a name is unknown, or does not suit the data.

    Example:
        >>> import torch
        >>> from edgemeta import tasks
        >>> from edgemeta.meta.augment import make_augmentation
        >>> source = tasks.open_tasks("glyphs")
        >>> augmentation = make_augmentation(["auto"], source)
        >>> augmentation.names
        ('move', 'turn', 'cutout')
        >>> x = torch.from_numpy(source.episode("train", tasks.EpisodeSize(), 0, 0).query_x)
        >>> augmentation(x, seed=[0, 1]).shape
        torch.Size([75, 28, 28])
    """
    found = chosen(names, source)
    if not found:
        return None
    kind = data_kind(source)
    mean, std = torch.zeros(1), torch.ones(1)
    if kind in SCALED:
        x = _some(source).astype(np.float32)
        rows = torch.from_numpy(x.reshape(-1, x.shape[-1]))  # (N, ..., C) -> (N * ..., C)
        mean, std = rows.mean(0), rows.std(0, correction=0)
    return Augmentation(found, kind, Scale(mean, std, source.input_dtype.kind in "iu"))


def _some(source: TaskSource) -> NDArray[Any]:
    """Draw samples of the training part, always the same ones: (`MEASURED`, *shape)."""
    if isinstance(source, ClassSource):
        return source.labelled("train", MEASURED, np.random.default_rng(_MEASURE_SEED))[0]
    size = EpisodeSize(shots=1, queries=1)
    drawn = (source.episode("train", size, 0, k).support_x for k in range(MEASURED))
    return np.concatenate(list(drawn))


def _laid_out(x: Tensor, kind: DataKind) -> Tensor:
    """Return samples as the functions of their kind want them."""
    if kind == "images":
        if x.ndim == 3:
            return x.unsqueeze(1)  # (N, H, W) -> (N, 1, H, W)
        return x.permute(0, 3, 1, 2) if channels_last(x.shape[1:]) else x  # -> (N, C, H, W)
    return x.flatten(1) if kind == "waves" else x  # (N, ..., L, ...) -> (N, L)


def _as_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring float32 back to the dtype of the data, within its range."""
    if dtype.is_floating_point:
        if dtype == torch.float16:
            x = x.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max)
        return x.to(dtype)
    limits = torch.iinfo(dtype)
    low, high = np.float32(limits.min), np.float32(limits.max)
    if int(high) > limits.max:  # of 32 or 64 bits, whose largest is no float32
        high = np.nextafter(high, np.float32(0))
    return x.round().clamp(float(low), float(high)).to(dtype)
