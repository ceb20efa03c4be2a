"""Files that are written whole or not at all, and files that are read with care."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import edgemeta
from edgemeta import EdgemetaError
from edgemeta.util.cores import usable_cores
from edgemeta.util.files import PART, read_regular, write_atomically
from edgemeta.util.locks import alone

NOBODY = 65_534


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_writer_left_is_removed_and_what_another_writes_is_not(
    tmp_path: Path,
) -> None:
    left, used, other = (
        tmp_path / name for name in (f".file.1{PART}", f".file.2{PART}", f".else.3{PART}")
    )
    for path in (left, used, other):
        path.write_bytes(b"part")
    with used.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "file", b"whole")
    assert names(tmp_path) == sorted([other.name, used.name, "file"])


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what Windows lacks."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
        monkeypatch.delattr(os, name)


def test_a_system_without_locks_writes_and_reads_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    renamed: list[str] = []

    def replace(source: Path, target: Path) -> None:
        # Windows renames no file that is open.
        descriptors = Path("/proc/self/fd").iterdir()
        renamed.extend(os.readlink(fd) for fd in descriptors if os.path.lexists(fd))
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "file", content)
    assert read_regular(tmp_path / "file", 3, follow=False) == b"new"
    assert names(tmp_path) == ["file"]
    assert renamed, "nothing was looked at: this proves nothing"
    assert not [path for path in renamed if path.endswith(PART)]


def test_without_locks_the_age_tells_what_a_killed_writer_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    left, used = (tmp_path / f".file.{n}{PART}" for n in (1, 2))
    for path in (left, used):
        path.write_bytes(b"part")
    os.utime(left, (0, 0))
    write_atomically(tmp_path / "file", b"whole")
    assert names(tmp_path) == sorted([used.name, "file"])


def test_a_state_is_saved_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = edgemeta.load("omniglot", threads=1)
    without_locks(monkeypatch)
    runner.init.save(tmp_path / "mine.safetensors")
    assert runner.load(tmp_path / "mine.safetensors").ways == 1


@pytest.mark.parametrize("system", ["posix", "windows", "neither"])
def test_one_process_at_a_time_where_the_system_has_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    tries: list[int] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        tries.append(mode)
        if len(tries) == 1:
            raise PermissionError(errno.EACCES, "another process has it")

    if system != "posix":
        without_locks(monkeypatch)
        monkeypatch.setattr("edgemeta.util.locks.BETWEEN_TRIES", 0.0)
    windows = SimpleNamespace(LK_NBLCK=2, locking=locking) if system == "windows" else None
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    with alone(tmp_path / "lock"), (tmp_path / "lock").open() as second:
        if system == "posix":
            with pytest.raises(BlockingIOError):
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert tries == ([2, 2] if system == "windows" else [])


def test_the_cores_are_counted_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4})
    assert usable_cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)  # where a file system may notice it at last
    with pytest.raises(EdgemetaError, match=r"cannot write .*No space left on device.*has room"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    """The command line says so in one line, and the old state can be read."""
    runner = edgemeta.load("omniglot", threads=1)
    state, support = small_disk / "mine.safetensors", small_disk / "support.npz"
    runner.adapt(np.zeros((2, 28, 28), np.uint8), [0, 1]).save(state)
    old = state.read_bytes()
    np.savez_compressed(support, x=np.zeros((60, 28, 28), np.uint8), y=np.arange(60))
    command = [sys.executable, "-m", "edgemeta", "adapt", str(runner.path), str(support)]
    done = subprocess.run([*command, "--out", str(state)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert state.read_bytes() == old
    assert names(small_disk) == ["mine.safetensors", "support.npz"]


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A directory in which a file exists and none can be written, also where the tests are root."""
    folder = Path(tempfile.mkdtemp())
    (folder / "file").write_bytes(b"old")
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    (folder / "file").unlink()
    folder.rmdir()


def test_a_directory_that_is_read_only(read_only: Path) -> None:
    with pytest.raises(EdgemetaError, match=r"cannot write .*Permission denied") as caught:
        write_atomically(read_only / "file", b"new")
    assert "\n" not in str(caught.value)
    assert (read_only / "file").read_bytes() == b"old"
    assert names(read_only) == ["file"]


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one() -> None:
    command = [sys.executable, "-m", "benchmarks.soak_saves", "--kills", "30"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["old"] + found["new"] == 30
    assert found["mid_save"] > 0, "no kill hit a save: this proves nothing"


def test_what_is_read_is_a_file_of_some_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert read_regular(tmp_path / "file", 3, follow=False) == b"abc"
    assert read_regular(tmp_path / "file", 2, follow=False) is None
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    assert read_regular(tmp_path / "huge", 1 << 30, follow=False) is None


def test_links_pipes_and_devices_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 3, follow=True) == b"abc"
    with pytest.raises(OSError, match="a symbolic link"):
        read_regular(tmp_path / "link", 3, follow=False)
    os.mkfifo(tmp_path / "pipe")  # whose opening would wait for a writer
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path, 3, follow=True)
