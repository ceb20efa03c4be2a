"""Class labels of any hashable type: checked, put in order, as arrays, and as JSON."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle.state import check_known, is_label
from edgemeta.errors import InputError

_KINDS = {bool: "b", int: "i", float: "f", str: "U"}
"""Types of labels that numpy has arrays of, and its letter for each."""


def as_labels(y: Any, samples: int) -> list[Hashable]:
    """Return the labels of a support set as Python objects.

    Args:
        y: (samples,) labels: an array, or any sequence of hashable objects, such as tuples.
        samples: how many there have to be.

    Raises:
        InputError: there is none, not one for each sample, or one that no class can be called.
    """
    if y is None:
        raise InputError("this estimator requires y to be passed, but the target y is None")
    if hasattr(y, "__array__"):  # numpy's arrays, and the columns of data frames
        y = np.asarray(y)
        if y.ndim != 1:
            raise InputError(
                "y should be a 1d array", got=f"shape {y.shape}", hint="y.ravel() makes it one"
            )
    try:
        labels = [as_label(label) for label in y]
    except TypeError as error:
        raise InputError(
            "y should be a 1d array of hashable labels", got=error, hint="pass tuples for lists"
        ) from error
    if len(labels) != samples:
        raise InputError(
            "y does not fit X", got=f"{len(labels)} labels", expected=f"{samples}, one per sample"
        )
    return labels


def as_label(label: Any) -> Hashable:
    """Return one label as a Python object.

    Raises:
        TypeError: it is not hashable.
        InputError: it is a number that is not whole: a target, not a label.
    """
    label = label.item() if isinstance(label, np.generic) else label
    hash(label)
    if isinstance(label, float) and not label.is_integer():
        raise InputError(
            "y is continuous",
            got=label,
            expected="labels",
            hint="for targets there is FewShotRegressor",
        )
    found: Hashable = label
    return found


def distinct(labels: Iterable[Hashable]) -> list[Hashable]:
    """Return each label once: in ascending order, or as they come where they have no order.

    Labels that are equal in Python, such as 1 and True, are one.
    """
    once = list(dict.fromkeys(labels))
    try:
        return sorted(once)  # type: ignore[type-var]
    except TypeError:
        return once


def classes_of(labels: Iterable[Hashable], names: Sequence[str] | None) -> list[Hashable]:
    """Return the classes that labels are of.

    Args:
        labels: of samples.
        names: what the bundle calls its classes, by class index; None where it names none.

    Returns:
        All classes of the bundle; or each label once, as `distinct` does.

    Raises:
        InputError: a label is none of the bundle's.
    """
    if names is None:
        return distinct(labels)
    check_known(labels, names)
    return list(names)


def as_array(labels: Sequence[Hashable]) -> NDArray[Any]:
    """Return (n,) labels: numbers or strings where all are of that type, else objects."""
    types = {type(label) for label in labels}
    if len(types) == 1 and (kind := _KINDS.get(types.pop())):
        array = np.array(labels)
        # Numpy drops zeros at the end of strings, and has no integers beyond 64 bits.
        if array.dtype.kind == kind and array.tolist() == list(labels):
            return array
    objects = np.empty(len(labels), object)
    objects[:] = labels  # not np.array: it would make tuples another axis
    return objects


def to_json(labels: Sequence[Hashable]) -> list[Any]:
    """Return the labels as JSON has them, tuples as lists.

    Raises:
        InputError: JSON has no such thing.
    """
    return [_to_json(label) for label in labels]


def from_json(labels: Any) -> list[Hashable]:
    """Return the labels that `to_json` was given.

    Raises:
        ValueError: this is nothing that it returns.
    """
    if not isinstance(labels, list):
        raise ValueError(f"labels {labels!r}")
    found = [_from_json(label) for label in labels]
    if len(set(found)) != len(found):
        raise ValueError("a label that is there twice")
    return found


def _to_json(label: Any) -> Any:
    if isinstance(label, tuple):
        return [_to_json(part) for part in label]
    # Exact types: a subclass would come back as something else.
    if (label is not None and type(label) not in _KINDS) or _is_odd(label):
        raise InputError(
            "a label cannot be saved",
            got=f"{label!r} ({type(label).__name__})",
            expected="strings, numbers, None, or tuples of them",
        )
    return label


def _is_odd(label: Any) -> bool:
    """Whether JSON has a type for the label, but could not give this value back: infinity, say."""
    return label is not None and not isinstance(label, bool) and not is_label(label)


def _from_json(label: Any) -> Hashable:
    if isinstance(label, list):
        return tuple(_from_json(part) for part in label)
    if isinstance(label, dict):
        raise ValueError(f"label {label!r}")
    found: Hashable = label
    return found
