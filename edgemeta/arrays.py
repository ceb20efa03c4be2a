"""Reading numpy's files (.npy, .npz) from outside; nothing in them is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

# What damaged or hostile files make numpy and zipfile raise.
_UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path, names: Sequence[str], wanted: str) -> Mapping[str, NDArray[Any]]:
    """Read those of the arrays `names` that an .npz file has; others are left alone.

    Args:
        path: the file.
        names: arrays to look for.
        wanted: what errors say was expected.

    Raises:
        InputError: the file is missing, damaged, or not an .npz.
    """
    _check_exists(path, "an .npz file")
    try:
        with path.open("rb") as stream:
            # numpy.load would take .npy files and refuse others with a word on pickles.
            if not zipfile.is_zipfile(stream):
                raise InputError(
                    f"{path} is not an .npz file",
                    expected=wanted,
                    hint="write it with numpy.savez_compressed(path, x=x, y=y)",
                )
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as file:
                return {name: file[name] for name in names if name in file.files}
    except InputError:
        raise
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_npy(path: Path) -> NDArray[Any]:
    """Read an .npy file.

    Raises:
        InputError: the file is missing, damaged, or not an .npy file.
    """
    _check_exists(path, "an .npy file")
    try:
        with path.open("rb") as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def require(arrays: Mapping[str, Any], path: Path, names: Sequence[str], wanted: str) -> None:
    """Check that a file had every array of `names`.

    Raises:
        InputError: one is missing.
    """
    for name in names:
        if name not in arrays:
            raise InputError(
                f"{path} has no array {name!r}",
                got=", ".join(arrays) or "none of the arrays looked for",
                expected=wanted,
                hint="write it with numpy.savez_compressed(path, x=x, y=y)",
            )


def _check_exists(path: Path, expected: str) -> None:
    if not path.is_file():
        raise InputError("no such data file", got=path, expected=expected, hint="check the path")


def _unreadable(path: Path, error: BaseException) -> InputError:
    hint = "write the file again with numpy"
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        hint = "an array holds Python objects; turn it into numbers or strings first"
    return InputError(f"{path} cannot be read", got=error, hint=hint)
