"""Directories that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgemeta.errors import EdgemetaError, InputError
from edgemeta.util.files import sync_directory


def check_replaceable(out: Path, mark: str, message: str) -> None:
    """Check that nothing but an empty directory or one of ours lies at `out`.

    Args:
        out: the directory to write.
        mark: a file that every directory of ours has.
        message: what errors say.

    Raises:
        InputError: something else is there.
    """
    is_ours = (out / mark).is_file()
    is_empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not (is_ours or is_empty):
        raise InputError(message, hint="name another directory")


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yield a new directory beside `out`, and put it in the place of `out` at the end.

    Where the body raises, `out` stays as it was and nothing is left beside it.

    Args:
        out: the directory to write; one that is there is replaced.

    Raises:
        EdgemetaError: the place cannot be written to.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise EdgemetaError(
            f"cannot write to {out.parent}", got=error.strerror, hint="name another directory"
        ) from error
    try:
        temporary.chmod(0o755)  # mkdtemp makes private ones; these are there to be read
        yield temporary
        if out.exists():
            shutil.rmtree(out)
        os.replace(temporary, out)
        sync_directory(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
