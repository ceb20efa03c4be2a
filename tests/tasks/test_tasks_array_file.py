"""Every way a data file can be wrong has its own one-line error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta.data.array_file import read_array_file
from edgemeta.errors import InputError
from edgemeta.tasks import open_tasks

X = np.zeros((6, 2), np.float32)
Y = np.arange(6) % 3
SPLIT = np.array([0, 0, 0, 2, 2, 2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, r"has no array 'x': got y, expected x \(N, \*shape\)"),
        ({"x": X}, "has no array 'y': got x,"),
        ({"other": X}, "has no array 'x': got none of the arrays looked for"),
        ({"x": X, "y": Y[:5]}, r"y does not fit x: got shape \(5,\), expected \(6,\)"),
        ({"x": X, "y": np.eye(6)}, r"y does not fit x: got shape \(6, 6\)"),
        ({"x": X, "y": Y, "subject": Y[:2]}, "subject does not fit x"),
        ({"x": X, "y": Y, "split": SPLIT[:2]}, "split does not fit x"),
        ({"x": X, "y": np.array([{}] * 6)}, "cannot be read.*Python objects"),
        ({"x": X.astype(object), "y": Y}, "cannot be read.*Python objects"),
        ({"x": X + np.nan, "y": Y}, "x is not finite: got nan or infinity in 6 samples"),
        ({"x": np.array([[0], [np.inf]]), "y": Y[:2]}, "in 1 samples, the first at index 1"),
        ({"x": X.astype(complex), "y": Y}, "x has a dtype.*got complex128.*astype"),
        ({"x": X.astype(str), "y": Y}, "x has a dtype"),
        ({"x": X.astype(bool), "y": Y}, "x has a dtype.*got bool"),
        ({"x": X[:, 0], "y": Y}, r"x has the wrong shape: got \(6,\)"),
        ({"x": X[:, :0], "y": Y}, r"x has the wrong shape: got \(6, 0\)"),
        ({"x": X[:0], "y": Y[:0]}, r"x has the wrong shape: got \(0, 2\)"),
        ({"x": X, "y": Y * 0}, "too few classes in y: got 1, expected at least 2"),
        ({"x": X, "y": Y.astype(float)}, "y has the wrong dtype: got float64"),
        ({"x": X, "y": Y, "subject": X[:, 0]}, "subject has the wrong dtype: got float32"),
        ({"x": X, "y": Y, "split": SPLIT + 1}, r"split has unknown values: got \[1, 3\]"),
        ({"x": X, "y": Y, "split": SPLIT.astype(float)}, "split has unknown values.*float64"),
        ({"x": X, "y": Y, "split": SPLIT.astype(str)}, "split has unknown values"),
        ({"x": X, "y": Y, "split": SPLIT * 0}, r"leaves a part empty: got only \[0\]"),
        ({"x": X, "y": Y, "class_names": np.array(["a"])}, "class_names does not fit y: got 1"),
        ({"x": X, "y": Y - 1, "class_names": np.array(["a"] * 9)}, "class_names does not fit y"),
        ({"x": X, "y": Y, "class_names": Y}, "class_names is not a list of names"),
    ],
)
def test_bad_content(write_npz: Callable[..., Path], arrays: dict[str, Any], message: str) -> None:
    path = write_npz(**arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_array_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such data file"):
        read_array_file(tmp_path / "nothing.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not an \.npz file.*numpy\.savez_compressed"):
        read_array_file(path)


def test_an_npy_file_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(InputError, match=r"is not an \.npz file"):
        read_array_file(path)


def test_damage_anywhere_is_an_input_error_or_harmless(tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, x=np.random.default_rng(0).normal(size=(6, 50)), y=Y)
    content = whole.read_bytes()
    path = tmp_path / "damaged.npz"
    refused = 0
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read_array_file(path)
        except InputError:
            refused += 1
    assert refused > len(content) // 7 // 2
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError):
        read_array_file(path)


def test_by_subject_needs_subjects(write_npz: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r'names no subjects.*"subject"'):
        open_tasks(str(write_npz(x=X, y=Y)), by="subject")
    with pytest.raises(InputError, match="too few subjects: got 1"):
        open_tasks(str(write_npz(x=X, y=Y, subject=Y * 0)), by="subject")


def test_an_unknown_way_to_divide(write_npz: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="unknown way to divide: got people"):
        open_tasks(str(write_npz(x=X, y=Y)), by="people")  # type: ignore[arg-type]
