"""Locks on open files, where the system has them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

BETWEEN_TRIES = 0.1  # seconds


def lock(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file until it is closed or the process ends.

    Args:
        descriptor: of the file.
        wait: until another process has let it go.

    Returns:
        Whether it is locked now; False where the system has no such locks, as on Windows.

    Raises:
        OSError: another process holds it, or the file system has no locks.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:
        return False
    flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)
    return True


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process in at a time; the system opens the lock of one that was killed.

    Args:
        path: a file that nobody needs; it is made, and stays. Where the system has no locks at all,
            nobody is kept out.
    """
    with path.open("wb") as file:
        if not lock(file.fileno(), wait=True):
            _lock_on_windows(file.fileno())
        yield


def _lock_on_windows(descriptor: int) -> None:
    """Lock the first byte; closing the file frees it."""
    try:
        import msvcrt
    except ImportError:
        return
    while True:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except PermissionError:  # another process has it
            time.sleep(BETWEEN_TRIES)
        else:
            return
