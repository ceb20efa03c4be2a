"""Writing files so that a reader sees the old content or the new one; reading them with care."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from pathlib import Path

from edgemeta.errors import EdgemetaError
from edgemeta.util.locks import lock

PART = ".part"
"""How the names of temporary files end."""

ABANDONED_AFTER = 3600.0
"""Seconds after which a temporary file is abandoned, where no lock tells."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` through a temporary file in the same directory.

    Whenever the process is killed, `path` has its old content or the new one. The temporary file
    of a writer that was killed is removed by the next one that writes to `path`.

    Args:
        path: the file to write; its directory must exist.
        content: the whole content.

    Raises:
        EdgemetaError: the directory cannot be written to, or is full; `path` is as it was.
    """
    temporary: Path | None = None
    try:
        _remove_abandoned(path)
        descriptor, temporary, locked = _open_temporary(path)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if locked:
                os.replace(temporary, path)  # while the lock is held: until then it is in use
        if not locked:
            os.replace(temporary, path)  # Windows renames no open file
        sync_directory(path.parent)
    except OSError as error:
        raise EdgemetaError(
            f"cannot write {path}",
            got=error.strerror or str(error),
            hint="check that the directory exists, is writable and has room",
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def sync_directory(directory: Path) -> None:
    """Make a rename inside `directory` survive a power cut; Windows opens no directories."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_regular(path: Path, most: int, *, follow: bool) -> bytes | None:
    """Read a file that may have been made to harm: a device, a pipe, a link, a huge one.

    Args:
        path: the file.
        most: bytes that it may have; nothing is allocated for a larger one.
        follow: whether it may be a symbolic link.

    Returns:
        The content, or None if it is larger than `most`.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    # A pipe without a writer would block the opening.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not follow:
        if path.is_symlink():
            raise OSError(0, "a symbolic link")
        flags |= getattr(os, "O_NOFOLLOW", 0)  # should it become one just now
    descriptor = os.open(path, flags)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        # A file that grows meanwhile is cut off; whoever checks size or hash will notice.
        return None if status.st_size > most else file.read(status.st_size)


def _open_temporary(path: Path) -> tuple[int, Path, bool]:
    """Make a new file beside `path`, with the usual rights.

    Returns:
        Its descriptor, its path, and whether it is locked for as long as it is open.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
        descriptor = os.open(temporary, flags, 0o666)
        locked = False
        with contextlib.suppress(OSError):  # a file system without locks
            locked = lock(descriptor, wait=True)
        if not locked or os.fstat(descriptor).st_nlink:
            return descriptor, temporary, locked
        os.close(descriptor)  # another writer took it for abandoned before it was locked


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files that writers of `path` left when they were killed."""
    with os.scandir(path.parent) as entries:
        names = [entry.name for entry in entries if entry.name.endswith(PART)]
    for name in names:
        if not name.startswith(f".{path.name}."):
            continue
        left = path.with_name(name)
        with contextlib.suppress(OSError):  # it is in use, or gone by now
            descriptor = os.open(left, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                locked = lock(descriptor, wait=False)
                age = time.time() - os.fstat(descriptor).st_mtime
                if locked:
                    os.unlink(left)
            finally:
                os.close(descriptor)
            if not locked and age > ABANDONED_AFTER:
                os.unlink(left)
