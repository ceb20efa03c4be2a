"""Names of classes and their numbers: which class index has which name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import Manifest
from edgemeta.bundle.state import Label


class Named(Protocol):
    """What knows classes already, such as an `edgemeta.Learner`."""

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """What the first classes, or all, are called, by class index."""

    @property
    def ways(self) -> int | None:
        """How many classes there are."""


def number_classes(
    found: NDArray[Any], known: Sequence[Label]
) -> tuple[tuple[Label, ...], NDArray[np.int64]]:
    """Number named classes.

    Args:
        found: (n,) names.
        known: the classes that have a number already, in order.

    Returns:
        All classes in order: the known ones, then the others by name, or by value where all of them
        are numbers; and (n,) int64 labels.
    """
    new = sorted(set(found.tolist()) - set(map(str, known)))
    if all(name.isascii() and name.isdecimal() for name in new):
        new.sort(key=int)
    classes = (*known, *new)
    at = {str(name): k for k, name in enumerate(classes)}
    return classes, np.array([at[name] for name in found.tolist()], np.int64)


def known_classes(state: Named | None, manifest: Manifest) -> list[Label]:
    """Return what the classes of a state are called; a class without a name goes by its number.

    Without a state these are the classes that the bundle names; none where it names none.
    """
    if state is None:
        return list(manifest.labels or ())
    return [label_of(state.labels, k) for k in range(state.ways or 0)]


def label_of(labels: Sequence[Label] | None, k: int) -> Label:
    """Return what class k is called; its number where it has no name."""
    return labels[k] if labels is not None and 0 <= k < len(labels) else k
