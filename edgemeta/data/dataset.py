"""What every layout of a user's data is read into: samples, their classes, their people."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

# Floats up to this size are checked for nan when they are opened, larger ones whenever some are
# read: reading a GiB takes a second or two, reading 50 would be felt.
CHECKED_AT_ONCE = 2**30
# Rows that are looked at together, in bytes: enough to be fast, little enough for any machine.
_BLOCK = 2**25

Change = Callable[[NDArray[Any]], NDArray[Any]]


class Samples(ABC):
    """N samples of one shape and dtype, read when they are asked for.

    Attributes:
        shape: of one sample.
        dtype: native byte order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def __len__(self) -> int:
        """Return N."""

    @abstractmethod
    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples.

        Args:
            rows: (n,) int64, each in 0..N-1.

        Returns:
            (n, *shape).

        Raises:
            InputError: a sample cannot be read.
        """


class ArraySamples(Samples):
    """The rows of an array, in memory or memory-mapped.

    Args:
        name: what errors call it.
        x: (N, *shape), numbers.

    Raises:
        InputError: it has another form, or is not finite.
    """

    def __init__(self, name: str, x: NDArray[Any]) -> None:
        if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
            raise InputError(
                f"{name}: x has a dtype that no model takes",
                got=x.dtype,
                expected="integers or floats of at most 64 bits",
                hint='convert it, for example with x.astype("float32")',
            )
        if x.ndim < 2 or x.size == 0:
            raise InputError(
                f"{name}: x has the wrong shape",
                got=x.shape,
                expected="(N, *shape), nothing empty",
                hint="single numbers as samples are x[:, None]",
            )
        self._name, self._x = name, x
        # The other byte order is the same numbers, but torch refuses it.
        self.shape, self.dtype = x.shape[1:], x.dtype.newbyteorder("=")
        if x.nbytes <= CHECKED_AT_ONCE:
            self.check_finite()
        else:
            _expect(x, "MADV_RANDOM")

    def __len__(self) -> int:
        return len(self._x)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples; see `Samples.read`."""
        x = np.asarray(self._x[rows]).astype(self.dtype, copy=False)
        if self._x.nbytes > CHECKED_AT_ONCE and x.dtype.kind == "f" and not np.isfinite(x).all():
            raise self._not_finite(rows[~_finite_rows(x)])
        return x

    def check_finite(self) -> None:
        """Look at all samples, block by block.

        Raises:
            InputError: some are not finite.
        """
        if self.dtype.kind != "f":
            return
        _expect(self._x, "MADV_NORMAL")
        step = max(1, _BLOCK // max(1, self._x.nbytes // len(self._x)))
        bad = [
            start + np.flatnonzero(~_finite_rows(np.asarray(self._x[start : start + step])))
            for start in range(0, len(self._x), step)
        ]
        _expect(self._x, "MADV_RANDOM" if self._x.nbytes > CHECKED_AT_ONCE else "MADV_NORMAL")
        found = np.concatenate(bad)
        if len(found):
            raise self._not_finite(found)

    def _not_finite(self, rows: NDArray[np.int64]) -> InputError:
        return InputError(
            f"{self._name}: x is not finite",
            got=f"nan or infinity in {len(rows)} samples, the first at index {rows[0]}",
            expected="finite numbers",
            hint="drop or repair these samples",
        )


def _expect(x: NDArray[Any], advice: str) -> None:
    """Tell the system how a mapped array will be read, where it wants to know.

    By default it reads a good deal around each sample: of a large file, hundreds of times as much
    as an episode asks for.
    """
    base: Any = x.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, advice):
        base.madvise(getattr(mmap, advice))


def _finite_rows(x: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    return found


class JoinedSamples(Samples):
    """Several samples of one shape and dtype, one after the other."""

    def __init__(self, parts: Sequence[Samples]) -> None:
        self.shape, self.dtype = parts[0].shape, parts[0].dtype
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples; see `Samples.read`."""
        x = np.empty((len(rows), *self.shape), self.dtype)
        which = np.searchsorted(self._ends, rows, side="right")
        for k, part in enumerate(self._parts):
            mine = which == k
            if mine.any():
                x[mine] = part.read(rows[mine] - (self._ends[k] - len(part)))
        return x


class ChangedSamples(Samples):
    """Some samples of others, changed when they are read.

    Args:
        samples: the others.
        rows: (n,) int64 which of them.
        change: a function of samples (m, *shape) to others of the same shape and dtype.
    """

    def __init__(self, samples: Samples, rows: NDArray[np.int64], change: Change) -> None:
        self.shape, self.dtype = samples.shape, samples.dtype
        self._samples, self._rows, self._change = samples, rows, change

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples; see `Samples.read`."""
        return self._change(self._samples.read(self._rows[rows]))


@dataclass(frozen=True)
class Dataset:
    """A user's data, checked but not yet divided.

    Attributes:
        samples: N of them.
        y: (N,) int64 class ids, 0..C-1 without gaps; for regression, ids of the tasks.
        class_names: C names.
        subject: (N,) int64 subject ids, 0..P-1 without gaps, or None.
        subject_names: P names; empty without subjects.
        split: (N,) int64, 0 = train, 1 = val, 2 = test, or None.
        targets: (N, T) float32 for regression, or None.
        preprocessing: what was done to the raw data, as JSON would hold it: a device has to do the
            same.
    """

    samples: Samples
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    subject: NDArray[np.int64] | None = None
    subject_names: tuple[str, ...] = ()
    split: NDArray[np.int64] | None = None
    targets: NDArray[np.float32] | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


def number(values: NDArray[Any] | Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Number values without gaps, in their order: (their C names, (N,) int64 ids)."""
    different, ids = np.unique(np.asarray(values), return_inverse=True)
    return tuple(map(str, different.tolist())), ids.astype(np.int64)


def check_classes(name: str, class_names: Sequence[str], where: str, least: int = 2) -> None:
    """Refuse data of too few classes.

    Args:
        name: what the error calls the data.
        class_names: of all classes.
        where: what tells the classes apart.
        least: how many there must be.

    Raises:
        InputError: there are fewer.
    """
    if len(class_names) < least:
        raise InputError(
            f"{name} has too few classes in {where}",
            got=len(class_names),
            expected=f"at least {least}",
        )


def checked_split(name: str, split: NDArray[Any]) -> NDArray[np.int64]:
    """Check the numbers of the parts, (N,), and return them as int64.

    Raises:
        InputError: there are others than 0, 1 and 2, or nothing to train or to test with.
    """
    present = np.unique(split)
    if split.dtype.kind not in "iu" or not set(present.tolist()) <= {0, 1, 2}:
        raise InputError(
            f"{name}: split has unknown values",
            got=f"{present[:5].tolist()} ({split.dtype})",
            expected="integers 0 = train, 1 = val, 2 = test",
        )
    if not {0, 2} <= set(present.tolist()):
        raise InputError(
            f"{name}: split leaves a part empty",
            got=f"only {present.tolist()}",
            expected="both 0 = train and 2 = test (1 = val may be absent)",
            hint="leave split out to have the parts drawn from a seed",
        )
    return split.astype(np.int64)
