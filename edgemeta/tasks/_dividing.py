"""Divide classes, people or tasks among the three parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgemeta.tasks.source import SPLITS, Split

# Shares of the units where the data does not separate them.
VAL_SHARE, TEST_SHARE = 0.2, 0.2
# Share of the training units that serve as validation where the data names none.
VAL_SHARE_OF_TRAIN = 0.15

Rows = dict[Split, NDArray[np.int64]]


def all_test(count: int) -> Rows:
    """Return all rows as the test part."""
    none = np.empty(0, np.int64)
    return {"train": none, "val": none, "test": np.arange(count)}


def divide(
    units: NDArray[np.int64], split: NDArray[np.int64] | None, seed: int, *, rows_by_split: bool
) -> Rows:
    """Divide the rows of the data over the three parts, so that no two parts share a unit.

    Args:
        units: (N,) unit of each row: its class, its subject or its task.
        split: (N,) 0/1/2 of each row as the data has it, or None.
        seed: decides what the data does not.
        rows_by_split: where `split` does not separate the units, keep to the rows of the part's
            own split value.

    Returns:
        The rows (n,) int64 of each part, ascending.
    """
    shuffled = np.random.default_rng(seed).permutation(np.unique(units))
    given = None if split is None else [np.unique(units[split == k]) for k in range(3)]
    separated = given is not None and sum(map(len, given)) == len(shuffled)
    if given is not None and separated:
        train = shuffled[np.isin(shuffled, given[0])]
        val, test = given[1], given[2]
        if not len(val):
            val, train = _cut(train, VAL_SHARE_OF_TRAIN * len(train))
    else:
        test, rest = _cut(shuffled, TEST_SHARE * len(shuffled))
        val, train = _cut(rest, VAL_SHARE * len(shuffled))
    rows: Rows = {}
    for number, (part, members) in enumerate(zip(SPLITS, (train, val, test), strict=True)):
        mine = np.isin(units, members)
        if split is not None and rows_by_split and not separated:
            # Without samples for validation, new classes shown by the people of training.
            mine &= split == (number if (split == number).any() else 0)
        rows[part] = np.flatnonzero(mine)
    return rows


def _cut(units: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut about `share` units off, at least one, unless that would take the last: (cut, rest)."""
    count = min(max(1, round(share)), len(units) - 1)
    return units[:count], units[count:]
