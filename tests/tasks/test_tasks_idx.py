"""The IDX files of MNIST and its kin."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta.data._idx import read_idx
from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from edgemeta.tasks.classes import ClassSource

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 28, 28), dtype=np.uint8)
LABELS = (np.arange(60) % 10).astype(np.uint8)


def _idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an IDX file as yann.lecun.com describes it."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _write(folder: Path, prefix: str = "", test: str = "t10k", suffix: str = "") -> None:
    for part, rows in (("train", slice(0, 40)), (test, slice(40, 60))):
        images = IMAGES[rows].transpose(0, 2, 1) if prefix else IMAGES[rows]
        _idx(folder / f"{prefix}{part}-images-idx3-ubyte{suffix}", images)
        _idx(folder / f"{prefix}{part}-labels-idx1-ubyte{suffix}", LABELS[rows])


@pytest.mark.parametrize(
    ("name", "place", "prefix", "test"),
    [
        ("mnist", "MNIST/raw", "", "t10k"),
        ("fashion-mnist", "FashionMNIST/raw", "", "t10k"),
        ("kmnist", ".", "", "t10k"),
        ("emnist-balanced", "EMNIST/raw", "emnist-balanced-", "test"),
        ("emnist-letters", "gzip", "emnist-letters-", "test"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_images_are_upright_wherever_they_lie(
    tmp_path: Path, name: str, place: str, prefix: str, test: str, suffix: str
) -> None:
    _write(tmp_path / place, prefix, test, suffix)
    data = read_idx(name, tmp_path, DataOptions())
    assert np.array_equal(data.samples.read(np.arange(60)), IMAGES)
    assert np.array_equal(data.samples.read(np.array([50, 3])), IMAGES[[50, 3]])
    assert data.y.tolist() == LABELS.tolist()
    assert data.split is not None
    assert data.split.tolist() == [0] * 40 + [2] * 20


def test_all_of_it_tests_a_model_from_elsewhere(tmp_path: Path) -> None:
    _write(tmp_path)
    source = open_tasks("mnist", tmp_path, options=DataOptions(test_only=True))
    assert isinstance(source, ClassSource)
    assert source.classes("test") == frozenset(range(10))
    episode = source.episode("test", EpisodeSize(10, 1, 5), 0, 0)
    assert episode.query_x.shape == (50, 28, 28)
    assert episode.query_x.dtype == np.uint8
    with pytest.raises(InputError, match="the train part is too small"):
        source.episode("train", EpisodeSize(2, 1, 1), 0, 0)
    with pytest.raises(InputError, match="the train part has no classes"):
        source.labelled("train", 1, np.random.default_rng(0))


def test_training_never_sees_the_official_test_part(tmp_path: Path) -> None:
    _write(tmp_path)
    source = open_tasks("mnist", tmp_path)
    assert isinstance(source, ClassSource)
    assert all(ids.max() < 40 for ids in source.pools("train")[0].samples)
    assert all(ids.min() >= 40 for ids in source.pools("test")[0].samples)


def test_damage(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(InputError, match="pass --root"):
        open_tasks("kmnist")
    with pytest.raises(InputError, match=r"no emnist-letters data: got .*pass --root"):
        open_tasks("emnist-letters", tmp_path)
    with pytest.raises(InputError, match="do not apply to mnist's IDX files: got --image-size"):
        open_tasks("mnist", tmp_path, options=DataOptions(image_size=32))
    labels = tmp_path / "train-labels-idx1-ubyte"
    _idx(labels, LABELS[:39])
    with pytest.raises(InputError, match="does not fit train-images-idx3-ubyte: got 39"):
        open_tasks("mnist", tmp_path)
    for content in (b"", b"\0\0\x08", labels.read_bytes()[:-1], b"\0\0\x0d\1\0\0\0\1\0\0\0\0"):
        labels.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged, or no IDX file|cannot be read"):
            open_tasks("mnist", tmp_path)
    labels.unlink()
    packed = labels.with_suffix(".gz")
    packed.write_bytes(gzip.compress(b"abc")[:-5])
    with pytest.raises(InputError, match="cannot be read"):
        open_tasks("mnist", tmp_path)
