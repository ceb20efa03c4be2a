from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemeta.data.array_file import read_array_file
from edgemeta.data.options import DRAWS, UNITS, Draw, Unit
from edgemeta.errors import InputError
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import SPLITS, EpisodeSize, Split

SPLIT_NUMBER: dict[Split, int] = {"train": 0, "val": 1, "test": 2}


def _open(
    path: Path, *, by: Unit = "class", split_seed: int = 0, draw: Draw | None = None
) -> DatasetSource:
    return DatasetSource(str(path), read_array_file(path), by=by, split_seed=split_seed, draw=draw)


def _rows(count: int) -> NDArray[np.int32]:
    """Samples that tell their row number."""
    return np.arange(count, dtype=np.int32)[:, None]


def _seen(source: DatasetSource, split: Split, size: EpisodeSize, episodes: int = 30) -> set[int]:
    """The rows that come up in a part, once it is checked that no episode repeats one."""
    seen: set[int] = set()
    for index in range(episodes):
        episode = source.episode(split, size, 0, index)
        rows = np.concatenate([episode.support_x, episode.query_x])[:, 0].tolist()
        assert len(set(rows)) == len(rows)
        seen |= set(rows)
    return seen


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(2, 60))

    def column(most: int, length: int = count) -> NDArray[np.int64]:
        values = draw(st.lists(st.integers(0, most), min_size=length, max_size=length))
        return np.array(values, dtype=np.int64)

    y = column(draw(st.integers(1, 12)))
    y[:2] = 0, 1
    arrays: dict[str, Any] = {"x": _rows(count), "y": y}
    if draw(st.booleans()):
        arrays["y"] = np.array([f"class {k}" for k in y])
    subject = column(6)
    subject[:2] = 0, 1
    arrays["subject"] = subject
    how = draw(st.sampled_from(["absent", "rows", "by class", "by subject"]))
    if how != "absent":
        groups = {"rows": np.arange(count), "by class": y, "by subject": subject}[how]
        split = column(2, length=max(count, 13))[groups]
        if not draw(st.booleans()):
            split = np.where(split == 1, 0, split)
        if {0, 2} <= set(split.tolist()):
            arrays["split"] = split
    return arrays


@given(arrays=files(), by=st.sampled_from(["class", "subject"]), seed=st.integers(0, 1000))
@settings(max_examples=120, deadline=None)
def test_parts_never_share_a_unit_or_a_sample(
    write_npz: Callable[..., Path], arrays: dict[str, Any], by: Unit, seed: int
) -> None:
    source = _open(write_npz(**arrays), by=by, split_seed=seed)
    values = arrays["y"] if by == "class" else arrays["subject"]
    unit_of_row = np.unique(values, return_inverse=True)[1]
    rows = {
        split: {row for pool in source.pools(split) for ids in pool.samples for row in ids.tolist()}
        for split in SPLITS
    }
    for a, b in combinations(SPLITS, 2):
        assert not source.units(a) & source.units(b)
        assert not rows[a] & rows[b]
    for split in SPLITS:
        assert {int(unit_of_row[row]) for row in rows[split]} == source.units(split)
        for pool in source.pools(split):
            if by == "subject":
                assert len({unit_of_row[row] for ids in pool.samples for row in ids.tolist()}) == 1


@given(arrays=files())
@settings(max_examples=60, deadline=None)
def test_no_test_episode_shows_a_training_sample_of_the_files_split(
    write_npz: Callable[..., Path], arrays: dict[str, Any]
) -> None:
    source = _open(write_npz(**arrays))
    if "split" not in arrays:
        return
    for split, allowed in [("train", {0}), ("val", {0, 1}), ("test", {2})]:
        for pool in source.pools(split):  # type: ignore[arg-type]
            for ids in pool.samples:
                assert set(arrays["split"][ids].tolist()) <= allowed


def test_a_split_that_separates_classes_is_kept(write_npz: Callable[..., Path]) -> None:
    y = np.arange(100) % 10
    split = np.array([0, 0, 0, 0, 0, 1, 1, 2, 2, 2])[y]
    for seed in (0, 1):
        source = _open(write_npz(x=_rows(100), y=y, split=split), split_seed=seed)
        assert source.classes("train") == frozenset(range(5))
        assert source.classes("val") == frozenset({5, 6})
        assert source.classes("test") == frozenset({7, 8, 9})


def test_validation_is_taken_from_training_where_the_split_has_none(
    write_npz: Callable[..., Path],
) -> None:
    y = np.arange(500) % 50
    path = write_npz(x=_rows(500), y=y, split=np.where(y < 40, 0, 2))
    one, other = (_open(path, split_seed=seed) for seed in (0, 1))
    assert one.classes("test") == other.classes("test") == frozenset(range(40, 50))
    assert one.classes("train") | one.classes("val") == frozenset(range(40))
    assert len(one.classes("val")) == 6
    assert one.classes("val") != other.classes("val")


def test_without_a_split_classes_are_divided_by_the_seed(write_npz: Callable[..., Path]) -> None:
    path = write_npz(x=_rows(500), y=np.arange(500) % 50)
    one, same, other = (_open(path, split_seed=seed) for seed in (0, 0, 1))
    assert [len(one.classes(split)) for split in SPLITS] == [30, 10, 10]
    assert [one.classes(s) for s in SPLITS] == [same.classes(s) for s in SPLITS]
    assert [one.classes(s) for s in SPLITS] != [other.classes(s) for s in SPLITS]


def test_a_split_by_people_gives_new_classes_and_new_people(write_npz: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    y, subject = rng.integers(0, 20, 3000), rng.integers(0, 10, 3000)
    path = write_npz(
        x=_rows(3000), y=y, subject=subject, split=np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])[subject]
    )
    source = _open(path)
    people: dict[Split, set[int]] = {
        "train": {0, 1, 2, 3, 4, 5},
        "val": {6, 7},
        "test": {8, 9},
    }
    for split in SPLITS:
        rows = list(_seen(source, split, EpisodeSize(3, 2, 5)))
        assert set(subject[rows].tolist()) == people[split]
        assert set(y[rows].tolist()) <= source.classes(split)


def test_by_subject_an_episode_is_one_new_person(write_npz: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    y, subject = rng.integers(0, 4, 1000), rng.integers(0, 10, 1000)
    source = _open(write_npz(x=_rows(1000), y=y, subject=subject), by="subject")
    size = EpisodeSize(ways=4, shots=2, queries=3)
    assert [len(source.units(split)) for split in SPLITS] == [6, 2, 2]
    for split in SPLITS:
        assert source.classes(split) == frozenset(range(4))
        people = set()
        for index in range(40):
            episode = source.episode(split, size, 0, index)
            rows = np.concatenate([episode.support_x, episode.query_x])[:, 0]
            labels = np.concatenate([episode.support_y, episode.query_y])
            assert len(set(subject[rows])) == 1
            assert len({(a, b) for a, b in zip(labels, y[rows], strict=True)}) == 4
            people.add(int(subject[rows][0]))
        assert people == source.units(split)


def test_by_subject_keeps_a_split_that_separates_them(write_npz: Callable[..., Path]) -> None:
    subject = np.arange(300) % 6
    path = write_npz(
        x=_rows(300),
        y=np.arange(300) % 7,
        subject=subject,
        split=np.array([2, 0, 0, 1, 0, 2])[subject],
    )
    source = _open(path, by="subject", split_seed=3)
    assert [sorted(source.units(s)) for s in SPLITS] == [[1, 2, 4], [3], [0, 5]]


def test_by_subject_a_split_within_subjects_does_not_count(write_npz: Callable[..., Path]) -> None:
    subject = np.arange(300) % 6
    split = np.random.default_rng(0).choice([0, 2], 300)
    path = write_npz(x=_rows(300), y=np.arange(300) % 7, subject=subject, split=split)
    source = _open(path, by="subject")
    rows = [row for s in SPLITS for pool in source.pools(s) for ids in pool.samples for row in ids]
    assert sorted(rows) == list(range(300))


def test_classes_too_small_for_the_episode_are_left_out(write_npz: Callable[..., Path]) -> None:
    y = np.repeat(np.arange(10), [30, 30, 30, 30, 30, 30, 2, 2, 30, 30])
    split = np.where(y < 8, 0, 2)
    split[y == 0] = 1
    source = _open(write_npz(x=_rows(len(y)), y=y, split=split))
    rows = _seen(source, "train", EpisodeSize(2, 1, 5), episodes=100)
    assert set(y[list(rows)].tolist()) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64", ">f4"])
def test_the_dtype_is_kept(write_npz: Callable[..., Path], dtype: str) -> None:
    x = np.arange(120).reshape(20, 2, 3).astype(dtype)
    source = _open(write_npz(x=x, y=np.arange(20) % 4, split=np.repeat([0, 2], 10)))
    assert source.input_shape == (2, 3)
    assert source.input_dtype == np.dtype(dtype).newbyteorder("=")
    episode = source.episode("train", EpisodeSize(2, 1, 1), 0, 0)
    assert episode.support_x.dtype == source.input_dtype


def test_names_of_classes(write_npz: Callable[..., Path]) -> None:
    x = _rows(4)
    text = read_array_file(write_npz(x=x, y=np.array(["no", "go", "no", "stop"])))
    assert text.class_names == ("go", "no", "stop")
    assert text.y.tolist() == [1, 0, 1, 2]
    plain = read_array_file(write_npz(x=x, y=np.array([7, 3, 3, 7], np.uint8)))
    assert plain.class_names == ("3", "7")
    named = read_array_file(
        write_npz(x=x, y=np.array([2, 0, 0, 2]), class_names=np.array(["a", "b", "c"]))
    )
    assert named.class_names == ("a", "c")
    assert named.y.tolist() == [1, 0, 0, 1]


def test_real_speech_commands(data_file: Callable[[str], Path]) -> None:
    source = _open(data_file("arabic-kws.npz"))
    assert source.input_dtype == np.float16
    assert [len(source.classes(split)) for split in SPLITS] == [24, 8, 8]
    people = _open(data_file("arabic-kws.npz"), by="subject")
    assert [len(people.units(split)) for split in SPLITS] == [18, 6, 6]


def test_real_activities_by_person(data_file: Callable[[str], Path]) -> None:
    source = _open(data_file("watch-har.npz"), by="subject")
    assert source.subject_names == tuple(map(str, range(23)))
    episode = source.episode("test", EpisodeSize(5, 1, 5), 0, 0)
    assert episode.support_x.shape == (5, 64, 6)
    assert episode.support_x.dtype == np.int16


@given(arrays=files(), seed=st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_by_both_parts_share_neither_classes_nor_people(
    write_npz: Callable[..., Path], arrays: dict[str, Any], seed: int
) -> None:
    source = _open(write_npz(**arrays), by="both", split_seed=seed)
    classes, people = [], []
    for split in SPLITS:
        (pool,) = source.pools(split)
        rows = np.concatenate([np.empty(0, np.int64), *pool.samples])
        classes.append(set(arrays["y"][rows].tolist()))
        people.append(set(arrays["subject"][rows].tolist()))
        assert len(source.units(split)) == len(classes[-1])
    for found in (classes, people):
        for a, b in combinations(found, 2):
            assert not a & b


def test_by_both_episodes_mix_the_people_of_a_part(write_npz: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    y, subject = rng.integers(0, 20, 6000), rng.integers(0, 10, 6000)
    source = _open(write_npz(x=_rows(6000), y=y, subject=subject), by="both")
    assert [len(source.classes(split)) for split in SPLITS] == [12, 4, 4]
    rows = list(_seen(source, "train", EpisodeSize(5, 1, 10)))
    assert len(set(subject[rows].tolist())) == 6
    without = write_npz(x=_rows(4), y=np.arange(4))
    with pytest.raises(InputError, match="names no subjects"):
        _open(without, by="both")
    with pytest.raises(InputError, match="names no subjects"):
        _open(without, draw="subject")


@pytest.mark.parametrize("by", UNITS)
@pytest.mark.parametrize("draw", DRAWS)
def test_who_is_shown_does_not_depend_on_what_is_divided(
    write_npz: Callable[..., Path], by: Unit, draw: Draw
) -> None:
    rng = np.random.default_rng(0)
    y, subject = rng.integers(0, 20, 6000), rng.integers(0, 10, 6000)
    path = write_npz(x=_rows(6000), y=y, subject=subject)
    source, usual = _open(path, by=by, draw=draw), _open(path, by=by)
    for split in SPLITS:
        assert np.array_equal(source.rows[split], usual.rows[split])
        assert source.units(split) == usual.units(split)
        episode = source.episode(split, EpisodeSize(4, 1, 6), 0, 0)
        rows = np.concatenate([episode.support_x, episode.query_x])[:, 0]
        assert (len(set(subject[rows].tolist())) == 1) == (draw == "subject")
