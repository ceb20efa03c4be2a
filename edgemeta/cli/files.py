"""What several commands read and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgemeta.arrays import read_npy, read_npz, require
from edgemeta.errors import InputError


def read_support(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read a support set: the arrays x and y of an .npz file.

    Raises:
        InputError: the file cannot be used.
    """
    wanted = "arrays x (S, *shape) and y (S,)"
    arrays = read_npz(path, ("x", "y"), wanted)
    require(arrays, path, ("x", "y"), wanted)
    return arrays["x"], arrays["y"]


def read_inputs(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Read what is to be predicted: an .npy file, or the array x (and y, if known) of an .npz.

    Raises:
        InputError: the file cannot be used.
    """
    if path.suffix == ".npy":
        return read_npy(path), None
    wanted = "array x (Q, *shape)"
    arrays = read_npz(path, ("x", "y"), wanted)
    require(arrays, path, ("x",), wanted)
    return arrays["x"], arrays.get("y")


def check_out(path: Path) -> None:
    """Check that a file can be made at `path`, before the work is done.

    Raises:
        InputError: its directory does not exist, or it is a directory.
    """
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}", got="no such directory", hint="make it first")
    if path.is_dir():
        raise InputError(f"cannot write {path}", got="a directory", expected="the name of a file")
