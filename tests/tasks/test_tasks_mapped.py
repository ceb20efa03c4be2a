"""Data larger than memory: arrays are mapped, and only what is asked for is read."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta.data import dataset
from edgemeta.data._arrays import read_npy, read_npz
from edgemeta.data.dataset import ArraySamples
from edgemeta.errors import InputError
from edgemeta.tasks import EpisodeSize, open_tasks

X = np.arange(240, dtype=np.float32).reshape(40, 3, 2)
Y = np.arange(40) % 4


def _mapped(path: Path) -> NDArray[Any]:
    return read_npz(path, ("x", "y"), "x", mapped=("x",))["x"]


@pytest.mark.parametrize("x", [X, np.asfortranarray(X), X.astype(">f8"), X[:1, :1, 0]])
def test_uncompressed_arrays_are_mapped(tmp_path: Path, x: NDArray[Any]) -> None:
    np.savez(tmp_path / "a.npz", y=Y, x=x)
    found = _mapped(tmp_path / "a.npz")
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, x)
    np.save(tmp_path / "x.npy", x)
    assert np.array_equal(read_npy(tmp_path / "x.npy", mapped=True), x)


def test_compressed_and_empty_arrays_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=X)
    assert not isinstance(_mapped(tmp_path / "a.npz"), np.memmap)
    np.savez(tmp_path / "b.npz", x=X[:0])
    assert _mapped(tmp_path / "b.npz").shape == (0, 3, 2)


def test_members_with_extra_fields_are_found(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        member = zipfile.ZipInfo("x.npy")
        member.extra = b"\xfe\xca\x04\x00abcd"
        archive.writestr(member, (tmp_path / "x.npy").read_bytes())
    assert np.array_equal(_mapped(tmp_path / "a.npz"), X)


def test_arrays_that_end_too_early(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[:-4])
    with pytest.raises(InputError, match="cannot be read"):
        read_npy(tmp_path / "x.npy", mapped=True)
    header = content.index(b"}")
    for place in (header, header - 8):  # numpy lets its parser's errors through
        (tmp_path / "x.npy").write_bytes(content[:place] + b"(" + content[place + 1 :])
        with pytest.raises(InputError, match="cannot be read"):
            read_npy(tmp_path / "x.npy", mapped=True)
    np.save(tmp_path / "o.npy", np.array([{}]))
    with pytest.raises(InputError, match="Python objects"):
        read_npy(tmp_path / "o.npy", mapped=True)


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match="has no array 'y'"):
        open_tasks(str(tmp_path))
    np.save(tmp_path / "y.npy", Y)
    np.save(tmp_path / "subject.npy", np.arange(40) // 8)
    folder = open_tasks(str(tmp_path), by="subject")
    np.savez(tmp_path / "a.npz", x=X, y=Y, subject=np.arange(40) // 8)
    file = open_tasks(str(tmp_path / "a.npz"), by="subject")
    size = EpisodeSize(2, 1, 1)
    for a, b in zip(
        folder.episode("train", size, 0, 0), file.episode("train", size, 0, 0), strict=True
    ):
        assert np.array_equal(a, b)


def test_large_arrays_are_checked_when_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    x = X.copy()
    x[7, 1, 1] = np.nan
    with pytest.raises(InputError, match="in 1 samples, the first at index 7"):
        ArraySamples("x", x)
    monkeypatch.setattr(dataset, "CHECKED_AT_ONCE", 100)
    monkeypatch.setattr(dataset, "_BLOCK", 48)
    samples = ArraySamples("x", x)
    assert np.array_equal(samples.read(np.array([6, 8])), x[[6, 8]])
    with pytest.raises(InputError, match="in 1 samples, the first at index 7"):
        samples.read(np.array([6, 7]))
    with pytest.raises(InputError, match="in 1 samples, the first at index 7"):
        samples.check_finite()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_the_episodes(tmp_path: Path) -> None:
    """20 GB, of which the disk holds nothing: the file has a hole for x."""
    count, side = 5_000_000, 1_000
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (count, side))
    np.save(tmp_path / "y.npy", (np.arange(count) % 100).astype(np.uint8))
    code = f"""
from edgemeta.tasks import EpisodeSize, open_tasks
source = open_tasks({str(tmp_path)!r})
for index in range(50):
    source.episode("train", EpisodeSize(), 0, index)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 700_000  # kB: numbering 5 million labels takes most of it
