"""Regression tables: a task for each value of a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from edgemeta.tasks.table_source import TableSource

HEADER = "a,house,b,price,rent\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twenty houses of ten rows; a is the house, b the row, price = 100 a + b."""
    path = tmp_path / "houses.csv"
    lines = [f"{k},h{k},{n},{100 * k + n},{-k}" for n in range(10) for k in range(20)]
    path.write_text(HEADER + "\n".join(lines) + "\n")
    return path


def _open(path: Path, seed: int = 0, **options: Any) -> TableSource:
    source = open_tasks(str(path), split_seed=seed, options=DataOptions(**options))
    assert isinstance(source, TableSource)
    return source


def test_an_episode_is_one_house(table: Path) -> None:
    source = _open(table, task="house", target=("price", "rent"))
    assert (source.input_shape, source.target_shape) == ((2,), (2,))
    assert source.input_dtype == np.float32
    assert source.preprocessing == {"columns": ["a", "b"], "target": ["price", "rent"]}
    for index in range(20):
        episode = source.episode("val", EpisodeSize(shots=3, queries=7), 0, index)
        x = np.concatenate([episode.support_x, episode.query_x])
        y = np.concatenate([episode.support_y, episode.query_y])
        assert y.dtype == np.float32
        assert len(set(x[:, 0].tolist())) == 1
        assert sorted(x[:, 1].tolist()) == list(range(10))
        assert (y == np.stack([100 * x[:, 0] + x[:, 1], -x[:, 0]], axis=1)).all()
        names = {source.task_names[k] for k in source.units("val")}
        assert f"h{int(x[0, 0])}" in names


def test_tasks_are_divided_by_the_seed(table: Path) -> None:
    one, same, other = (_open(table, seed, task="house", target=("price",)) for seed in (0, 0, 1))
    parts = [one.units(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert len(frozenset().union(*parts)) == 20
    assert parts == [same.units(split) for split in ("train", "val", "test")]
    assert parts != [other.units(split) for split in ("train", "val", "test")]
    everything = _open(table, task="house", target=("price",), test_only=True)
    assert len(everything.units("test")) == 20


def test_columns_choose_the_input(table: Path) -> None:
    source = _open(table, task="house", target=("price",), columns=("b",))
    assert source.input_shape == (1,)
    with pytest.raises(InputError, match="got 12 tasks, the largest of 10 rows"):
        source.episode("train", EpisodeSize(shots=5, queries=6), 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "flat"}, "has no column 'flat': got a, house, b, price, rent"),
        ({"task": "house"}, "has no target target column: got a, b, price, rent"),
        ({"task": "house", "target": ("a", "b", "price", "rent")}, "has no input column"),
        ({"task": "house", "target": ("house",)}, "columns with two parts: got house"),
        ({"task": "house", "target": ("a",), "columns": ("a",)}, "columns with two parts: got a"),
        ({"task": "a", "target": ("b",)}, "got 'h0' in column 'house' of row 1"),
        ({"task": "house", "window": 4}, "do not apply to a regression table: got --window"),
    ],
)
def test_what_cannot_be_used(table: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _open(table, **options)


def test_a_table_has_no_subjects(table: Path) -> None:
    options = DataOptions(task="house", target=("price",))
    with pytest.raises(InputError, match="its parts are always divided by task"):
        open_tasks(str(table), by="subject", options=options)
