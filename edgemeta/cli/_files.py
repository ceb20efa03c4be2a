"""Where commands write."""

from __future__ import annotations

from pathlib import Path

from edgemeta.errors import InputError


def check_out(path: Path) -> None:
    """Check that a file can be made at `path`, before the work is done.

    Raises:
        InputError: its directory does not exist, or it is a directory.
    """
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}", got="no such directory", hint="make it first")
    if path.is_dir():
        raise InputError(f"cannot write {path}", got="a directory", expected="the name of a file")
