"""Reading arrays: one .npz file, or a folder of .npy files, checked before any sampling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data._arrays import read_npy, read_npz, require
from edgemeta.data.dataset import (
    ArraySamples,
    Dataset,
    Samples,
    check_classes,
    checked_split,
    number,
)
from edgemeta.errors import InputError

NAMES = ("x", "y", "subject", "split", "class_names")
_WANTED = "x (N, *shape), y (N,), and if known subject (N,), split (N,) 0/1/2, class_names"


def read_array_file(path: Path) -> Dataset:
    """Read and check an .npz file; nothing in it is ever unpickled.

    Where `x` is stored uncompressed, as `numpy.savez` does, it is memory-mapped: only what episodes
    ask for is read from the disk.

    Args:
        path: file with `x` (N, *shape) of numbers, `y` (N,) integers or strings, optionally
            `subject` (N,) integers or strings, `split` (N,) of 0/1/2, and `class_names` (C,), whose
            entry k names the class that `y` calls k. Other arrays are left alone.

    Raises:
        InputError: the file is missing, damaged, or breaks one of these rules.
    """
    arrays = read_npz(path, NAMES, _WANTED, mapped=("x",))
    require(arrays, path, ("x", "y"), _WANTED)
    return checked_arrays(str(path), ArraySamples(str(path), arrays["x"]), arrays)


def read_array_folder(path: Path) -> Dataset:
    """Read and check a folder of `x.npy`, which is memory-mapped, `y.npy` and so on.

    Args:
        path: the folder; its files hold what the arrays of an .npz would.

    Raises:
        InputError: as for `read_array_file`.
    """
    files = {name: path / f"{name}.npy" for name in NAMES}
    arrays = {
        name: read_npy(file, mapped=name == "x") for name, file in files.items() if file.is_file()
    }
    require(arrays, path, ("x", "y"), _WANTED)
    return checked_arrays(str(path), ArraySamples(str(path), arrays["x"]), arrays)


def checked_arrays(path: str, samples: Samples, arrays: Mapping[str, NDArray[Any]]) -> Dataset:
    """Check what belongs to samples.

    Args:
        path: what errors call the data.
        samples: N of them.
        arrays: `y`, and if known `subject`, `split`, `class_names`, as in a file.

    Raises:
        InputError: as for `read_array_file`.
    """
    for name in ("y", "subject", "split"):
        if name in arrays and arrays[name].shape != (len(samples),):
            raise InputError(
                f"{path}: {name} does not fit x",
                got=f"shape {arrays[name].shape}",
                expected=f"({len(samples)},), one entry for each sample of x",
            )
    for name in ("y", "subject"):
        if name in arrays and arrays[name].dtype.kind not in "iuU":
            raise InputError(
                f"{path}: {name} has the wrong dtype",
                got=arrays[name].dtype,
                expected="integers or strings",
                hint=f'convert it, for example with {name}.astype("int64")',
            )
    class_names, y = number(arrays["y"])
    check_classes(path, class_names, "y")
    if "class_names" in arrays and arrays["y"].dtype.kind != "U":
        class_names = _names(path, np.unique(arrays["y"]), arrays["class_names"])
    subject_names, subject = number(arrays["subject"]) if "subject" in arrays else ((), None)
    return Dataset(
        samples=samples,
        y=y,
        class_names=class_names,
        subject=subject,
        subject_names=subject_names,
        split=checked_split(path, arrays["split"]) if "split" in arrays else None,
    )


def _names(path: str, values: NDArray[Any], names: NDArray[Any]) -> tuple[str, ...]:
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
