"""Reading a user's own data: one .npz file, checked before anything is sampled from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.arrays import read_npz, require
from edgemeta.errors import InputError

_WANTED = "x (N, *shape), y (N,), and if known subject (N,), split (N,) 0/1/2, class_names"


@dataclass(frozen=True)
class ArrayFile:
    """The content of one file.

    Attributes:
        x: (N, *shape), dtype as stored.
        y: (N,) int64 class ids, 0..C-1 without gaps.
        class_names: C names.
        subject: (N,) int64 subject ids, 0..P-1 without gaps, or None.
        subject_names: P names; empty without subjects.
        split: (N,) int64, 0 = train, 1 = val, 2 = test, or None.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    subject: NDArray[np.int64] | None
    subject_names: tuple[str, ...]
    split: NDArray[np.int64] | None


def read_array_file(path: Path) -> ArrayFile:
    """Read and check an .npz file; nothing in it is ever unpickled.

    Args:
        path: file with `x` (N, *shape) of numbers, `y` (N,) integers or strings, optionally
            `subject` (N,) integers or strings, `split` (N,) of 0/1/2, and `class_names` (C,), whose
            entry k names the class that `y` calls k. Other arrays are left alone.

    Raises:
        InputError: the file is missing, damaged, or breaks one of these rules.
    """
    arrays = read_npz(path, ("x", "y", "subject", "split", "class_names"), _WANTED)
    require(arrays, path, ("x", "y"), _WANTED)
    x = _checked_samples(path, arrays["x"])
    for name in ("y", "subject", "split"):
        if name in arrays and arrays[name].shape != (len(x),):
            raise InputError(
                f"{path}: {name} does not fit x",
                got=f"shape {arrays[name].shape}",
                expected=f"({len(x)},), one entry for each sample of x",
            )
    values, y = _dense_ids(path, "y", arrays["y"])
    if len(values) < 2:
        raise InputError(f"{path} has too few classes in y", got=len(values), expected="at least 2")
    people, subject = (
        _dense_ids(path, "subject", arrays["subject"]) if "subject" in arrays else (None, None)
    )
    return ArrayFile(
        x=x,
        y=y,
        class_names=_names(path, values, arrays.get("class_names")),
        subject=subject,
        subject_names=() if people is None else tuple(map(str, people.tolist())),
        split=_checked_split(path, arrays["split"]) if "split" in arrays else None,
    )


def _checked_samples(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind not in "iuf" or x.dtype.itemsize > 8:
        raise InputError(
            f"{path}: x has a dtype that no model takes",
            got=x.dtype,
            expected="integers or floats of at most 64 bits",
            hint='convert it, for example with x.astype("float32")',
        )
    if x.ndim < 2 or x.size == 0:
        raise InputError(
            f"{path}: x has the wrong shape",
            got=x.shape,
            expected="(N, *shape), nothing empty",
            hint="single numbers as samples are x[:, None]",
        )
    if x.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(axis=1))
        if len(bad):
            raise InputError(
                f"{path}: x is not finite",
                got=f"nan or infinity in {len(bad)} samples, the first at index {bad[0]}",
                expected="finite numbers",
                hint="drop or repair these samples",
            )
    # The other byte order is the same numbers, but torch refuses it.
    return x.astype(x.dtype.newbyteorder("="), copy=False)


def _dense_ids(
    path: Path, name: str, values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Number the values of `y` or `subject` without gaps: (different values, (N,) int64 ids)."""
    if values.dtype.kind not in "iuU":
        raise InputError(
            f"{path}: {name} has the wrong dtype",
            got=values.dtype,
            expected="integers or strings",
            hint=f'convert it, for example with {name}.astype("int64")',
        )
    different, ids = np.unique(values, return_inverse=True)
    return different, ids.astype(np.int64)


def _names(path: Path, values: NDArray[Any], names: NDArray[Any] | None) -> tuple[str, ...]:
    if names is None or values.dtype.kind == "U":
        return tuple(map(str, values.tolist()))
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InputError(
            f"{path}: class_names is not a list of names",
            got=f"shape {names.shape}, dtype {names.dtype}",
            expected="(C,) strings",
        )
    if values[0] < 0 or values[-1] >= len(names):
        raise InputError(
            f"{path}: class_names does not fit y",
            got=f"{len(names)} names for y from {values[0]} to {values[-1]}",
            expected="a name at index k for every class k in y",
        )
    return tuple(names[values].tolist())


def _checked_split(path: Path, split: NDArray[Any]) -> NDArray[np.int64]:
    present = np.unique(split)
    if split.dtype.kind not in "iu" or not set(present.tolist()) <= {0, 1, 2}:
        raise InputError(
            f"{path}: split has unknown values",
            got=f"{present[:5].tolist()} ({split.dtype})",
            expected="integers 0 = train, 1 = val, 2 = test",
        )
    if not {0, 2} <= set(present.tolist()):
        raise InputError(
            f"{path}: split leaves a part empty",
            got=f"only {present.tolist()}",
            expected="both 0 = train and 2 = test (1 = val may be absent)",
            hint="leave split out to have the parts drawn from a seed",
        )
    return split.astype(np.int64)
