"""Time series: windows of one label and one person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemeta.data._series import cut_windows, read_series_csv
from edgemeta.data.dataset import ArraySamples, Dataset, number
from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource

STEPS = np.arange(100, dtype=np.float32)


def _windows(
    labels: list[int], subjects: list[int] | None, window: int, hop: int | None
) -> Dataset:
    x = np.stack([STEPS[: len(labels)], -STEPS[: len(labels)]], axis=1)
    names, y = number(np.array(labels))
    people, subject = number(np.array(subjects)) if subjects else ((), None)
    series = Dataset(ArraySamples("series", x), y, names, subject, people)
    return cut_windows("series", series, DataOptions(window=window, hop=hop))


def _read(data: Dataset) -> NDArray[Any]:
    return data.samples.read(np.arange(len(data.samples)))


def test_windows_of_a_small_series() -> None:
    data = _windows([5] * 7 + [3] * 5 + [5] * 3, None, 3, 2)
    first = _read(data)[:, 0, 0].astype(int).tolist()
    assert first == [0, 2, 4, 7, 9, 12]
    assert [data.class_names[k] for k in data.y] == ["5", "5", "5", "3", "3", "5"]
    assert data.samples.shape == (3, 2)
    assert _read(data)[3, :, 1].tolist() == [-7, -8, -9]
    assert data.preprocessing == {"window": 3, "hop": 2}


def test_windows_do_not_overlap_unless_asked_to() -> None:
    data = _windows([0] * 10 + [1] * 10, None, 4, None)
    assert _read(data)[:, 0, 0].tolist() == [0, 4, 10, 14]


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=60),
    window=st.integers(1, 4),
    hop=st.integers(1, 5),
)
@settings(max_examples=100, deadline=None)
def test_no_window_crosses_a_change(rows: list[tuple[int, int]], window: int, hop: int) -> None:
    labels, subjects = (list(column) for column in zip(*rows, strict=True))
    try:
        data = _windows(labels, subjects, window, hop)
    except InputError:
        return
    assert data.subject is not None
    for steps, k, p in zip(_read(data)[:, :, 0].astype(int), data.y, data.subject, strict=True):
        assert np.diff(steps).tolist() == [1] * (window - 1)
        assert {str(labels[t]) for t in steps} == {data.class_names[k]}
        assert {str(subjects[t]) for t in steps} == {data.subject_names[p]}


CSV = "time,ax,activity,who,ay\n" + "".join(
    f"{t},{t / 2},{'walk' if t // 6 % 2 else 'rest'},p{t // 24},{-t}\n" for t in range(48)
)


def test_a_table_of_time_steps(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("\ufeff" + CSV, encoding="utf-8")  # as spreadsheets begin their files
    options = DataOptions(window=3, label="activity", subject="who", columns=("ax", "ay"))
    data = read_series_csv(path, options)
    assert data.class_names == ("rest", "walk")
    assert data.subject_names == ("p0", "p1")
    assert _read(data)[1].tolist() == [[1.5, -3], [2, -4], [2.5, -5]]
    assert data.preprocessing == {"channels": ["ax", "ay"], "window": 3, "hop": 3}
    source = open_tasks(str(path), by="subject", options=options)
    assert isinstance(source, DatasetSource)
    assert source.input_shape == (3, 2)
    assert source.units("train") | source.units("test") == {0, 1}


def test_columns_without_a_part_are_channels(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_text("label,b,subject,a\n" + "0,1,7,2\n\n" * 3 + "1,1,7,2\n" * 3)
    data = read_series_csv(path, DataOptions(window=2))
    assert data.preprocessing["channels"] == ["b", "a"]
    assert data.subject_names == ("7",)


def test_long_arrays_are_cut(write_npz: Callable[..., Path]) -> None:
    path = write_npz(
        x=np.arange(400).reshape(200, 2),
        y=np.arange(200) // 20 % 5,
        subject=np.arange(200) // 100,
        split=np.repeat([0, 0, 2, 2], 50),
    )
    source = open_tasks(str(path), options=DataOptions(window=10))
    assert isinstance(source, DatasetSource)
    assert source.input_shape == (10, 2)
    assert source.preprocessing == {"window": 10, "hop": 10}
    plain = open_tasks(str(path))
    assert plain.input_shape == (2,)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CSV, {}, "may be a time series or a regression table: expected --window"),
        (CSV, {"window": 3}, "has no column 'label': got time, ax, activity, who, ay"),
        (CSV, {"window": 3, "label": "activity"}, r"got 'p0' in column 'who' of row 1; correct"),
        (CSV, {"window": 3, "label": "activity", "subject": "x"}, "has no column 'x'"),
        (CSV, {"window": 9, "label": "activity", "columns": ("ax",)}, "longest stretch .* has 6"),
        (CSV, {"window": 3, "mels": 4}, "do not apply to a CSV time series: got --mels"),
        ("label,a\n0,1\n0\n", {"window": 1}, "does not fit the header: got 1 cells in row 2"),
        ("label,a\n0,1\n0,nan\n", {"window": 1}, "got 'nan' in column 'a' of row 2"),
        ("label,a\n0,1\n0,1e99\n", {"window": 1}, "got '1e99' in column 'a' of row 2"),
        ("label,a\n", {"window": 1}, "has no rows"),
        ("", {"window": 1}, "has no column 'label': got an empty file"),
        ("label,a,a\n0,1,1\n", {"window": 1}, "columns of the same name: got a"),
        ("label,a\n0,1\n0,1\n", {"window": 1}, "too few classes in its windows: got 1"),
        ('label,a\n0,"1\n', {"window": 1}, "cannot be read"),
    ],
)
def test_what_cannot_be_cut(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "steps.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        open_tasks(str(path), options=DataOptions(**options))


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such data file"):
        open_tasks(str(tmp_path / "none.csv"), options=DataOptions(window=1))
    (tmp_path / "a.csv").write_bytes(b"label,a\n\xff,1\n")
    with pytest.raises(InputError, match=r"a\.csv cannot be read"):
        open_tasks(str(tmp_path / "a.csv"), options=DataOptions(window=1))
