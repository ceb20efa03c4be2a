"""Reading numpy's files (.npy, .npz) from outside; nothing in them is ever unpickled.

numpy reads headers and arrays; ours is to find where an array lies within an .npz, because numpy
maps none of these.
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

# What damaged or hostile files make numpy and zipfile raise.
_UNREADABLE = (
    ValueError,
    OSError,
    struct.error,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(
    path: Path, names: Sequence[str], wanted: str, *, mapped: Sequence[str] = ()
) -> Mapping[str, NDArray[Any]]:
    """Read those of the arrays `names` that an .npz file has; others are left alone.

    Args:
        path: the file.
        names: arrays to look for.
        wanted: what errors say was expected.
        mapped: arrays that are memory-mapped, read-only, where the file stores them uncompressed.

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
                places = {n: _place(file.zip, stream, n) for n in mapped if n in file.files}
                return {
                    name: _map(path, place) if (place := places.get(name)) else file[name]
                    for name in names
                    if name in file.files
                }
    except InputError:
        raise
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def read_npy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Read an .npy file.

    Args:
        path: the file.
        mapped: memory-map it, read-only, instead.

    Raises:
        InputError: the file is missing, damaged, or not an .npy file.
    """
    _check_exists(path, "an .npy file")
    try:
        with path.open("rb") as stream:
            place = _array_place(stream, path.stat().st_size) if mapped else None
            if place is not None:
                return _map(path, place)
            stream.seek(0)
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


class _Place(NamedTuple):
    """Where in a file the numbers of an array begin, and what they are."""

    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def _place(archive: zipfile.ZipFile, stream: BinaryIO, name: str) -> _Place | None:
    """Find an array within an .npz, or None if it has to be read through zipfile."""
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:  # 1: encrypted
        return None
    # The local header repeats the name, and has an extra field of its own length: see APPNOTE.TXT
    # of PKWARE, 4.3.7.
    stream.seek(member.header_offset)
    header = stream.read(30)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = member.header_offset + 30 + name_length + extra_length
    stream.seek(start)
    return _array_place(stream, start + member.file_size)


def _array_place(stream: BinaryIO, end: int) -> _Place | None:
    """Read the header of an .npy; None where there is nothing to map, or numpy should refuse."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        return None
    shape, fortran, dtype = readers[version](stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or not size or stream.tell() + size > end:
        return None
    return _Place(stream.tell(), shape, fortran, dtype)


def _map(path: Path, place: _Place) -> NDArray[Any]:
    order: Literal["F", "C"] = "F" if place.fortran else "C"
    return np.memmap(path, place.dtype, "r", place.offset, place.shape, order)


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
