"""Samples that are one file each, decoded when they are needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.dataset import Samples

CACHE_BYTES = 2**28


class FileSamples(Samples):
    """One sample per file; those used last are kept, up to a bound.

    Args:
        paths: N files.
        shape: of one sample.
        dtype: of the samples.
        decode: reads one file into (*shape) of dtype, or raises InputError.
        cache_bytes: how much of what was decoded is kept.

    Attributes:
        paths: N files.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        decode: Callable[[Path], NDArray[Any]],
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.paths, self.shape, self.dtype = tuple(paths), shape, dtype
        self._decode = decode
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._room = cache_bytes // max(1, int(np.prod(shape)) * dtype.itemsize)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples; see `Samples.read`."""
        x = np.empty((len(rows), *self.shape), self.dtype)
        for place, row in enumerate(rows.tolist()):
            sample = self._kept.get(row)
            if sample is None:
                sample = self._kept[row] = self._decode(self.paths[row])
            self._kept.move_to_end(row)
            if len(self._kept) > self._room:
                self._kept.popitem(last=False)
            x[place] = sample
        return x
