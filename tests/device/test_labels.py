from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemeta import InputError
from edgemeta.estimators._labels import as_array, as_labels, distinct, from_json, to_json
from edgemeta.util.strict_json import is_plain

SIMPLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),  # what other languages can hold, too
    st.integers(-(2**53) + 1, 2**53 - 1).map(float),
    st.text().filter(is_plain),
)
LABELS = st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4)


@given(st.lists(LABELS, unique=True))
def test_labels_come_back_from_json(labels: list[Any]) -> None:
    found = from_json(json.loads(json.dumps(to_json(labels))))
    assert found == labels
    assert [type(label) for label in found] == [type(label) for label in labels]


@given(st.lists(LABELS))
def test_an_array_holds_the_labels_as_they_are(labels: list[Any]) -> None:
    array = as_array(labels)
    assert array.shape == (len(labels),)
    assert array.tolist() == labels
    assert [type(label) for label in array.tolist()] == [type(label) for label in labels]


@given(st.lists(st.integers() | st.text()))
def test_distinct_labels_are_in_order_where_there_is_one(labels: list[Any]) -> None:
    found = distinct(labels)
    assert set(found) == set(labels)
    assert len(found) == len(set(labels))
    if len({type(label) for label in labels}) == 1:
        assert found == sorted(set(labels))
    else:
        assert distinct(found) == found


def test_arrays_are_of_numpys_own_types_where_they_can() -> None:
    assert as_array([1, 2]).dtype.kind == "i"
    assert as_array(["a", "bc"]).dtype.kind == "U"
    for odd in ([1, "a"], [1, True], [2**70], ["a\0"], [(1, 2), (3, 4)]):
        assert as_array(odd).dtype == object


def test_labels_are_taken_from_arrays_and_sequences() -> None:
    assert as_labels(np.array([1, 2]), 2) == [1, 2]
    assert type(as_labels([np.int64(1)], 1)[0]) is int
    assert as_labels(["a", ("b", 1), None], 3) == ["a", ("b", 1), None]
    assert as_labels(np.array(["a", "b"]), 2) == ["a", "b"]
    assert as_labels(np.array([1.0, 2.0]), 2) == [1, 2]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        ([[1], [2]], "hashable labels"),
        (np.zeros((2, 1)), "1d array: got shape"),
        (3, "1d array of hashable labels"),
        ([0.5, 1.0], "y is continuous: got 0.5"),
        ([np.nan, 1.0], "y is continuous"),
        ([np.inf, 1.0], "y is continuous"),
        ([1], "got 1 labels, expected 2"),
    ],
)
def test_odd_labels_are_refused(y: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_labels(y, 2)


@pytest.mark.parametrize("label", [b"raw", frozenset([1]), ("a", b"b"), "half \ud800", 1j])
def test_what_json_lacks_cannot_be_saved(label: Any) -> None:
    with pytest.raises(InputError, match="label cannot be saved"):
        to_json(["good", label])


@pytest.mark.parametrize("labels", [None, {"a": 1}, [{"a": 1}], [1, 1], [1, True], [["a"], ["a"]]])
def test_what_to_json_never_returns(labels: Any) -> None:
    with pytest.raises(ValueError, match="label"):
        from_json(labels)
