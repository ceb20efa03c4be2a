"""Regression tables as tasks: each value of one column is one."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from edgemeta.data.dataset import Dataset, Samples
from edgemeta.errors import InputError
from edgemeta.tasks._dividing import all_test, divide
from edgemeta.tasks.classes import group_rows
from edgemeta.tasks.source import SPLITS, Episode, EpisodeSize, Split, TaskKind, TaskSource


class TableSource(TaskSource):
    """Predict the targets of a task's rows from a few of them.

    Tasks are divided 60/20/20 over the parts by `split_seed`.

    Args:
        name: how the command line spells it.
        dataset: a data set with targets.
        split_seed: of the division.
        test_only: put all tasks into the test part.

    Attributes:
        task_names: the name of task k at index k.
        rows: (n,) int64 the rows of each part, ascending.
    """

    kind: TaskKind = "regression"

    def __init__(
        self, name: str, dataset: Dataset, *, split_seed: int = 0, test_only: bool = False
    ) -> None:
        if dataset.targets is None:
            raise InputError(f"{name} has no targets")
        self.name = name
        self.input_shape, self.input_dtype = dataset.samples.shape, dataset.samples.dtype
        self.target_shape = dataset.targets.shape[1:]
        self.task_names = dataset.class_names
        self._dataset, self._targets = dataset, dataset.targets
        tasks = dataset.y
        self.rows = (
            all_test(len(tasks))
            if test_only
            else divide(tasks, None, split_seed, rows_by_split=False)
        )
        self._tasks = {split: group_rows(tasks, self.rows[split]) for split in SPLITS}

    @property
    def dataset(self) -> Dataset:
        """The rows that the episodes are drawn from."""
        return self._dataset

    def on(self, samples: Samples) -> TableSource:
        """Return a source of the same episodes that shows other samples, in the same order."""
        made = copy.copy(self)
        made._dataset = replace(self._dataset, samples=samples)
        made.input_shape, made.input_dtype = samples.shape, samples.dtype
        return made

    def units(self, split: Split) -> frozenset[int]:
        """Return the ids of the part's tasks, of which no other part has any."""
        return frozenset(self._tasks[split])

    @property
    def preprocessing(self) -> dict[str, object]:
        """Which columns are input and target, in order."""
        return dict(self._dataset.preprocessing)

    def sample(self, split: Split, size: EpisodeSize, rng: np.random.Generator) -> Episode:
        """Draw one task, then `shots` + `queries` of its rows, uniformly and without repetition.

        Tasks with fewer rows are left out; `ways` does not apply.

        Returns:
            support_x (shots, D), support_y (shots, T), query_x (queries, D), query_y (queries, T),
            all float32.

        Raises:
            InputError: no task of the part has that many rows.
        """
        need = size.shots + size.queries
        usable = [rows for rows in self._tasks[split].values() if len(rows) >= need]
        if not usable:
            most = max(map(len, self._tasks[split].values()), default=0)
            raise InputError(
                f"{self.name}: the {split} part is too small for this episode",
                got=f"{len(self._tasks[split])} tasks, the largest of {most} rows",
                expected=f"a task with shots + queries = {need} rows",
                hint="reduce shots or queries, or add data",
            )
        drawn = rng.choice(usable[rng.integers(len(usable))], need, replace=False)
        x, y = self._dataset.samples.read(drawn), self._targets[drawn]
        return Episode(x[: size.shots], y[: size.shots], x[size.shots :], y[size.shots :])
