"""A user's own data as tasks: new classes, or new people, at test time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError
from edgemeta.tasks.array_file import read_array_file
from edgemeta.tasks.classes import ClassSource, Pool, Unit, group_rows
from edgemeta.tasks.source import SPLITS, Split

# Shares of the units where the file does not separate them.
VAL_SHARE, TEST_SHARE = 0.2, 0.2
# Share of the training units that serve as validation where the file names none.
VAL_SHARE_OF_TRAIN = 0.15


class ArraySource(ClassSource):
    """Classify the samples of an .npz file; see `array_file` for its form.

    With `by="class"` the classes of a test episode are new. If the file's `split` separates the
    classes, it is used as it is. If it is absent or does not (it was made by samples or by
    people), classes are divided 60/20/20 by `split_seed`. A `split` still counts then: training
    episodes use only samples of split 0, test episodes only those of split 2, so that both the
    classes and the people of a test episode are new. Validation classes use split 1, or 0 if
    there is no 1.

    With `by="subject"` the person is new and the classes are the same: every episode is drawn
    from one subject. Subjects are divided by `split` if it separates them, else 60/20/20 by
    `split_seed`.

    Where `split` separates the units but names no validation, 15 % of the training units, chosen
    by `split_seed`, serve as validation.

    Args:
        path: the file.
        by: what is new at test time.
        split_seed: decides every division that the file leaves open.

    Attributes:
        class_names: the name of class id k at index k.
        subject_names: the name of subject id k at index k; empty if the file has no subjects.

    Raises:
        InputError: the file cannot be used, or `by="subject"` and it has no subjects.
    """

    def __init__(self, path: Path, *, by: Unit = "class", split_seed: int = 0) -> None:
        if by not in ("class", "subject"):
            raise InputError("unknown way to divide", got=by, expected='"class" or "subject"')
        file = read_array_file(path)
        self.name = str(path)
        self.unit = by
        self.class_names, self.subject_names = file.class_names, file.subject_names
        self._x = file.x
        self._pools: dict[Split, tuple[Pool, ...]]
        self.input_shape, self.input_dtype = file.x.shape[1:], file.x.dtype
        if by == "class":
            if file.subject is not None:
                self._too_small_hint += ', or divide by="subject"'
            self._units, rows = _divide(file.y, file.split, split_seed, rows_by_split=True)
            self._pools = {s: (Pool.of(group_rows(file.y, rows[s])),) for s in SPLITS}
        else:
            subject = _checked_subjects(path, file.subject)
            self._units, rows = _divide(subject, file.split, split_seed, rows_by_split=False)
            self._pools = {
                s: tuple(
                    Pool.of(group_rows(file.y, own))
                    for own in group_rows(subject, rows[s]).values()
                )
                for s in SPLITS
            }

    def pools(self, split: Split) -> Sequence[Pool]:
        """Return one pool for all classes of the part, or one for each of its subjects."""
        return self._pools[split]

    def units(self, split: Split) -> frozenset[int]:
        """Return the class ids of the part, or its subject ids with `by="subject"`."""
        return self._units[split]

    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        return self._x[samples]


def _checked_subjects(path: Path, subject: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if subject is None:
        raise InputError(
            f"{path} names no subjects",
            expected='an array "subject" (N,) for by="subject"',
            hint='add one, or divide by="class"',
        )
    if subject.max() < 1:
        raise InputError(
            f"{path} has too few subjects", got=1, expected="at least 2", hint='divide by="class"'
        )
    return subject


def _divide(
    units: NDArray[np.int64], split: NDArray[np.int64] | None, seed: int, *, rows_by_split: bool
) -> tuple[dict[Split, frozenset[int]], dict[Split, NDArray[np.int64]]]:
    """Divide the units, and the rows of the data, over the three parts.

    Args:
        units: (N,) unit of each row: its class or its subject.
        split: (N,) 0/1/2 of each row as the file has it, or None.
        seed: decides what the file leaves open.
        rows_by_split: where `split` does not separate the units, keep to the rows of the part's
            own split value.

    Returns:
        The units of each part, and the rows (n,) int64 of each part, ascending.
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
    parts = dict(zip(SPLITS, (train, val, test), strict=True))
    rows: dict[Split, NDArray[np.int64]] = {}
    for number, (part, members) in enumerate(parts.items()):
        mine = np.isin(units, members)
        if split is not None and rows_by_split and not separated:
            # Without samples for validation, new classes shown by the people of training.
            mine &= split == (number if (split == number).any() else 0)
        rows[part] = np.flatnonzero(mine)
    return {part: frozenset(np.unique(units[rows[part]]).tolist()) for part in SPLITS}, rows


def _cut(units: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut about `share` units off, at least one, unless that would take the last: (cut, rest)."""
    count = min(max(1, round(share)), len(units) - 1)
    return units[:count], units[count:]
