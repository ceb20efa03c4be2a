"""Sources of arrays and of PyTorch's data sets: the same episodes as from a file, read lazily."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

from edgemeta.errors import InputError
from edgemeta.tasks import EpisodeSize, from_arrays, from_torch, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import SPLITS

SIZE = EpisodeSize(2, 1, 1)
X = np.arange(480, dtype=np.float32).reshape(240, 2)
Y = np.arange(240) % 12
SUBJECT = np.arange(240) // 24


def _same(one: DatasetSource, other: DatasetSource) -> None:
    for part in SPLITS:
        for index in range(3):
            pair = (source.episode(part, SIZE, 7, index) for source in (one, other))
            for mine, theirs in zip(*pair, strict=True):
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("by", ["class", "subject", "both"])
def test_arrays_are_what_a_file_of_them_is(write_npz: Callable[..., Path], by: Any) -> None:
    path = write_npz(x=X, y=Y, subject=SUBJECT)
    wanted = open_tasks(str(path), by=by, split_seed=3)
    assert isinstance(wanted, DatasetSource)
    source = from_arrays(X, Y, subject=SUBJECT, by=by, seed=3)
    _same(source, wanted)
    assert source.subject_names == wanted.subject_names
    assert source.unit == by
    assert source.name == "arrays"


def test_whatever_is_an_array_will_do() -> None:
    names = np.array([f"class{k:02}" for k in Y])
    wanted = from_arrays(X, names)
    assert wanted.class_names[11] == "class11"
    _same(from_arrays(X.tolist(), names.tolist()), from_arrays(X.astype(np.float64), names))
    _same(from_arrays(torch.tensor(X, requires_grad=True), names.astype(object)), wanted)
    _same(from_arrays(X.astype(">f4"), torch.tensor(Y)), wanted)
    split = np.where(Y < 8, 0, np.where(Y < 10, 1, 2))
    source = from_arrays(X, Y, split=split.tolist())
    assert [sorted(source.classes(part)) for part in SPLITS] == [list(range(8)), [8, 9], [10, 11]]
    alone = from_arrays(X, Y, subject=SUBJECT, by="class", draw="subject", test_only=True)
    assert len(alone.pools("test")) == 10
    assert not alone.classes("train")


def test_a_mapped_array_stays_on_the_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r+")
    source = from_arrays(mapped, Y, test_only=True)
    before = source.episode("test", SIZE, 0, 0).support_x
    mapped += 1
    assert np.array_equal(source.episode("test", SIZE, 0, 0).support_x, before + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y[:-1]}, r"arrays: y does not fit x: got shape \(239,\), expected \(240,\)"),
        ({"y": Y.astype(float)}, "arrays: y has the wrong dtype: got float64, expected integers"),
        ({"y": [None] * 240}, "y has the wrong dtype: got object"),
        ({"y": np.zeros(240, int)}, "too few classes in y: got 1, expected at least 2"),
        ({"y": [[1], [2, 3]]}, "arrays: y is no array"),
        ({"x": X[:, 0]}, r"x has the wrong shape: got \(240,\)"),
        ({"x": X > 3}, "x has a dtype that no model takes: got bool"),
        ({"x": X + np.nan}, "x is not finite"),
        ({"subject": SUBJECT[:3]}, "subject does not fit x"),
        ({"split": Y}, "split has unknown values"),
        ({"by": "subject"}, "arrays names no subjects"),
        ({"by": "person"}, "unknown way to divide"),
        ({"name": "mine", "y": Y[:2]}, "mine: y does not fit x"),
    ],
)
def test_arrays_that_do_not_fit(arguments: dict[str, Any], message: str) -> None:
    arguments = dict(arguments)
    with pytest.raises(InputError, match=message) as caught:
        from_arrays(arguments.pop("x", X), arguments.pop("y", Y), **arguments)
    assert "\n" not in str(caught.value)


class _Pictures(Dataset[tuple[Any, Any]]):
    """Pictures of pillow; counts how often each is read."""

    def __init__(self, **attributes: Any) -> None:
        self.read: list[int] = []
        self.changed: dict[int, tuple[Any, Any]] = {}
        vars(self).update(attributes)

    def __len__(self) -> int:
        return len(Y)

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        self.read.append(row)
        pair = Image.new("L", (3, 2), row), int(Y[row])
        return self.changed.get(row, pair)


def _as_array(rows: int = 240) -> NDArray[np.uint8]:
    return np.arange(rows, dtype=np.uint8)[:, None, None] * np.ones((2, 3), np.uint8)


@pytest.mark.parametrize("by", ["class", "subject"])
def test_a_data_set_is_what_its_arrays_are(by: Any) -> None:
    wanted = from_arrays(X, Y, subject=SUBJECT, by=by, seed=2)
    tensors = TensorDataset(torch.tensor(X), torch.tensor(Y))
    _same(from_torch(tensors, subject=SUBJECT, by=by, seed=2), wanted)
    pairs = list(zip(X, Y.astype(str), strict=True))  # a list will do
    names = from_arrays(X, Y.astype(str), subject=SUBJECT, by=by, seed=2)
    _same(from_torch(pairs, subject=SUBJECT, by=by, seed=2), names)


def test_items_are_read_when_they_are_asked_for() -> None:
    data = _Pictures(targets=torch.tensor(Y), classes=[f"c{k}" for k in range(12)])
    source = from_torch(data)
    assert data.read == [0]  # for shape and dtype
    assert (source.input_shape, source.input_dtype.name) == ((2, 3), "uint8")
    assert source.class_name(11) == "c11"
    _same(source, from_arrays(_as_array(), Y))
    data.read.clear()
    episode = source.episode("train", SIZE, 0, 0)
    rows = np.concatenate([episode.support_x, episode.query_x])[:, 0, 0]
    assert sorted(data.read) == sorted(rows.tolist())


def test_classes_are_asked_for_once() -> None:
    data = _Pictures()
    source = from_torch(data)
    assert data.read == [0, *range(240)]
    _same(source, from_arrays(_as_array(), Y))
    # What a target_transform makes of the targets, only the items say.
    names = [f"c{k}" for k in range(12)]
    changed = from_torch(_Pictures(targets=[0] * 240, classes=names, target_transform=len))
    _same(changed, source)
    assert changed.class_names == source.class_names


def test_a_subset_knows_its_classes() -> None:
    rows = np.random.default_rng(0).permutation(240)[:200]
    data = _Pictures(targets=Y.tolist(), classes=[f"c{k}" for k in range(12)])
    source = from_torch(Subset(data, rows.tolist()))
    assert data.read == [rows[0]]
    assert source.class_names[3] == "c3"
    _same(source, from_arrays(_as_array()[rows], Y[rows]))
    source = from_torch(Subset(_Pictures(), rows.tolist()))
    _same(source, from_arrays(_as_array()[rows], Y[rows]))


def test_names_that_do_not_fit_are_left_alone() -> None:
    source = from_torch(_Pictures(targets=Y, classes=["a", "b"]))
    assert source.class_names[11] == "11"


class _Broken(Dataset[Any]):
    def __getitem__(self, row: int) -> Any:
        raise OSError("no such\nfile")

    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (iter([1]), r"dataset does not give single items: got list_iterator"),
        ([], "dataset is empty"),
        ([{"x": 1}], r"item 0 is not a pair: got dict, expected pairs \(x, y\)"),
        ([(X[0], 0, 0)], "item 0 is not a pair: got tuple of 3"),
        ([(X[0] > 0, 0)], "x has a dtype that no model takes: got bool"),
        ([(1.5, 0)], "x has the wrong shape"),
        ([(torch.zeros(2, dtype=torch.bfloat16), 0)], "item 0 is no array"),
        ([(X[0], 0.5), (X[1], 1.5)], "y has the wrong dtype: got float64"),
        ([(X[0], 0), (X[1], 0)], "too few classes"),
        (_Broken(), "item 0 cannot be read: got OSError: no such file"),
        (_Pictures(targets=[1, 2]), "y does not fit x"),
    ],
)
def test_data_sets_that_do_not_fit(dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_torch(dataset)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            np.zeros((2, 4), np.uint8),
            r"item 5 differs from the first .*: got \(2, 4\) uint8, expected",
        ),
        (np.zeros((2, 3), np.float32), r"got \(2, 3\) float32, expected \(2, 3\) uint8"),
    ],
)
def test_an_item_that_differs(item: Any, message: str) -> None:
    data = _Pictures(targets=Y)
    source = from_torch(data, test_only=True)
    data.changed[5] = (item, 5)
    with pytest.raises(InputError, match=message):
        source._dataset.samples.read(np.array([4, 5]))


def test_an_item_that_is_not_finite() -> None:
    x = torch.tensor(X)
    x[9, 1] = torch.inf
    source = from_torch(TensorDataset(x, torch.tensor(Y)), name="mine")
    with pytest.raises(InputError, match="mine: item 9 is not finite"):
        source._dataset.samples.read(np.array([8, 9]))


def test_tasks_do_without_torch() -> None:
    code = "; ".join(
        (
            "import sys, edgemeta.tasks as tasks",
            "tasks.from_torch([([1.0], 0), ([2.0], 1)])",
            "print('torch' in sys.modules)",
        )
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
