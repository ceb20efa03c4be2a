"""A user's own data as tasks: new classes, new people, or both, at test time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.dataset import Change, ChangedSamples, Dataset, JoinedSamples, Samples
from edgemeta.data.options import UNITS, Draw, Unit
from edgemeta.errors import InputError
from edgemeta.tasks._dividing import Rows, all_test, divide
from edgemeta.tasks.classes import ClassSource, Pool, group_rows
from edgemeta.tasks.source import SPLITS, Split


class DatasetSource(ClassSource):
    """Classify the samples of a data set.

    With `by="class"` the classes of a test episode are new. If the data's `split` separates the
    classes, it is used as it is. If it is absent or does not (it was made by samples or by
    people), classes are divided 60/20/20 by `split_seed`. A `split` still counts then: training
    episodes use only samples of split 0, test episodes only those of split 2, so that both the
    classes and the people of a test episode are new. Validation classes use split 1, or 0 if
    there is no 1.

    With `by="subject"` the person is new and the classes are the same: every episode is drawn
    from one subject, unless `draw` overrides that. Subjects are divided by `split` if it separates
    them, else 60/20/20 by `split_seed`.

    With `by="both"` classes and people are new: both are divided as above, each for itself, and a
    part has the samples of its classes by its people; the rest is left out.

    Where `split` separates the units but names no validation, 15 % of the training units, chosen
    by `split_seed`, serve as validation.

    Args:
        name: how the command line spells the data.
        dataset: the data.
        by: what is new at test time.
        split_seed: decides every division that the data leaves open.
        draw: "subject" draws every episode from one subject, "all" from all of a part; None means
            "subject" with `by="subject"`, else "all".
        test_only: put all of it into the test part.

    Attributes:
        class_names: the name of class id k at index k.
        subject_names: the name of subject id k at index k; empty without subjects.
        rows: (n,) int64 the samples of each part, ascending.

    Raises:
        InputError: `by` or `draw` needs subjects, and there are none.
    """

    def __init__(
        self,
        name: str,
        dataset: Dataset,
        *,
        by: Unit = "class",
        split_seed: int = 0,
        draw: Draw | None = None,
        test_only: bool = False,
    ) -> None:
        if by not in UNITS:
            raise InputError(
                "unknown way to divide", got=by, expected='"class", "subject" or "both"'
            )
        self.name, self.unit = name, by
        self.class_names, self.subject_names = dataset.class_names, dataset.subject_names
        self.input_shape, self.input_dtype = dataset.samples.shape, dataset.samples.dtype
        self._dataset = dataset
        if by == "class" and dataset.subject is not None:
            self._too_small_hint += ', or divide by="subject"'
        self._of_one_subject = (draw or ("subject" if by == "subject" else "all")) == "subject"
        subject = None
        if by != "class" or self._of_one_subject:
            subject = _checked_subjects(name, dataset.subject)
        units = subject if by == "subject" and subject is not None else dataset.y
        self.rows = all_test(len(units)) if test_only else _rows(dataset, by, subject, split_seed)
        self._units = {s: frozenset(np.unique(units[self.rows[s]]).tolist()) for s in SPLITS}
        self._pools: dict[Split, tuple[Pool, ...]] = {}
        for split, rows in self.rows.items():
            shares = [rows]
            if subject is not None and self._of_one_subject:
                shares = list(group_rows(subject, rows).values())
            self._pools[split] = tuple(Pool.of(group_rows(dataset.y, share)) for share in shares)

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What was done to the raw data; a device has to do the same."""
        return dict(self._dataset.preprocessing)

    @property
    def dataset(self) -> Dataset:
        """The data that the episodes are drawn from."""
        return self._dataset

    def on(self, samples: Samples) -> DatasetSource:
        """Return a source of the same episodes that shows other samples, in the same order."""
        made = copy.copy(self)
        made._dataset = replace(self._dataset, samples=samples)
        made.input_shape, made.input_dtype = samples.shape, samples.dtype
        return made

    def with_training_classes(self, changes: Sequence[tuple[Change, str]]) -> DatasetSource:
        """Return a source whose training part also shows each class changed, as one of its own.

        Args:
            changes: each a function of samples (n, *shape) to others of the same shape, and what
                it makes of them, as a name.

        Returns:
            With C class ids here, class c changed by change k has the id c + (k + 1) C. The changed
            samples stand behind those that are here.
        """
        data, rows = self._dataset, self.rows["train"]
        times, before, count = 1 + len(changes), len(data.y), len(self.class_names)
        changed = [ChangedSamples(data.samples, rows, change) for change, _ in changes]
        shift = np.arange(1, times).repeat(len(rows)) * count
        made = copy.copy(self)
        made.__dict__.pop("_samples_of_classes", None)  # cached, and of the source here
        made.class_names += tuple(f"{c}, {what}" for _, what in changes for c in self.class_names)
        made._dataset = replace(
            data,
            samples=JoinedSamples([data.samples, *changed]),
            y=np.append(data.y, np.tile(data.y[rows], times - 1) + shift),
            class_names=made.class_names,
            subject=_repeated(data.subject, rows, times),
            split=_repeated(data.split, rows, times),
        )
        behind = before + np.arange(len(changed) * len(rows))
        made.rows = self.rows | {"train": np.append(rows, behind)}
        made._pools = self._pools | {
            "train": tuple(_more(pool, rows, before, count, times) for pool in self._pools["train"])
        }
        return made

    def pools(self, split: Split) -> Sequence[Pool]:
        """Return one pool for all of the part, or one for each of its subjects; see `draw`."""
        return self._pools[split]

    def class_name(self, class_id: int) -> str:
        """Return what the data call a class."""
        return self.class_names[class_id]

    def units(self, split: Split) -> frozenset[int]:
        """Return the class ids of the part, or its subject ids with `by="subject"`."""
        return self._units[split]

    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        return self._dataset.samples.read(samples)


def _repeated(
    values: NDArray[np.int64] | None, rows: NDArray[np.int64], times: int
) -> NDArray[np.int64] | None:
    """Return values with those of some rows behind them, once for each change."""
    return None if values is None else np.append(values, np.tile(values[rows], times - 1))


def _more(pool: Pool, rows: NDArray[np.int64], before: int, count: int, times: int) -> Pool:
    """Return a pool with the changed classes; see `DatasetSource.with_training_classes`."""
    place = [before + np.searchsorted(rows, ids) for ids in pool.samples]
    changed = [ids + k * len(rows) for k in range(times - 1) for ids in place]
    classes = pool.classes + count * np.arange(times)[:, None]  # (times, C)
    return Pool(classes.ravel(), (*pool.samples, *changed))


def _rows(dataset: Dataset, by: Unit, subject: NDArray[np.int64] | None, seed: int) -> Rows:
    if by == "class" or subject is None:
        return divide(dataset.y, dataset.split, seed, rows_by_split=True)
    by_subject = divide(subject, dataset.split, seed, rows_by_split=False)
    if by == "subject":
        return by_subject
    by_class = divide(dataset.y, dataset.split, seed, rows_by_split=False)
    return {s: np.intersect1d(by_class[s], by_subject[s], assume_unique=True) for s in SPLITS}


def _checked_subjects(name: str, subject: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if subject is None:
        raise InputError(
            f"{name} names no subjects",
            expected='"subject" (N,), to divide or to draw by it: an array, a column, or a part of '
            "file names",
            hint='add them, or divide by="class" and draw from "all"',
        )
    if subject.max() < 1:
        raise InputError(
            f"{name} has too few subjects", got=1, expected="at least 2", hint='divide by="class"'
        )
    return subject
