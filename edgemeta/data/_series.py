"""Time series: long recordings of channels, cut into windows of one class and one person each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.csv_file import read_csv
from edgemeta.data.dataset import ArraySamples, Dataset, Samples, check_classes, number
from edgemeta.data.options import DataOptions
from edgemeta.errors import InputError


def read_series_csv(path: Path, options: DataOptions, least: int = 2) -> Dataset:
    """Read a table with a row per time step: channels, a label, and if known a subject.

    Args:
        path: the table.
        options: `window`, `hop`, `columns`, `label`, `subject`.
        least: how many classes there must be; with 0 the label may be missing, too, and all is of
            one class without a name.

    Returns:
        The windows: (window, channels) float32 each.

    Raises:
        InputError: the table cannot be used, or no window fits.
    """
    label = options.label or "label"
    subject = options.subject or "subject"
    given = [name for name in (options.subject, label if least else None) if name]
    table = read_csv(
        path,
        text=given,
        numbers=options.columns or None,
        optional=[name for name in (label, subject) if name not in given],
    )
    class_names, y = number(table.text.get(label, [""] * len(table.numbers)))
    steps = Dataset(
        ArraySamples(str(path), table.numbers),
        y,
        class_names,
        preprocessing={"channels": list(table.number_names)},
    )
    if subject in table.text:
        names, ids = number(table.text[subject])
        steps = replace(steps, subject=ids, subject_names=names)
    return cut_windows(str(path), steps, options, least)


def cut_windows(name: str, steps: Dataset, options: DataOptions, least: int = 2) -> Dataset:
    """Cut a series into windows that never cross a change of label, subject or split.

    Args:
        name: what errors call it.
        steps: T time steps as samples.
        options: `window` and `hop`; without a window the steps are returned as they are.
        least: how many classes there must be.

    Returns:
        The windows, in order: (window, *shape) each. Classes without any are left out.

    Raises:
        InputError: no window fits, or fewer than `least` classes have one.
    """
    window = options.window
    if window is None:
        return steps
    hop = options.hop or window
    columns = [c for c in (steps.y, steps.subject, steps.split) if c is not None]
    change = np.any([np.diff(column) != 0 for column in columns], axis=0)
    ends = np.append(np.flatnonzero(change) + 1, len(steps.y))
    begins = np.insert(ends[:-1], 0, 0)
    starts = np.concatenate(
        [np.arange(a, b - window + 1, hop) for a, b in zip(begins, ends, strict=True)]
    )
    if not len(starts):
        raise InputError(
            f"{name}: no window fits",
            got=f"{window} steps; the longest stretch of one label has {(ends - begins).max()}",
            hint="take a smaller --window",
        )
    kept, y = np.unique(steps.y[starts], return_inverse=True)
    class_names = tuple(steps.class_names[k] for k in kept)
    check_classes(name, class_names, "its windows", least)
    cut = replace(
        steps,
        samples=_Windows(steps.samples, starts, window),
        y=y,
        class_names=class_names,
        split=None if steps.split is None else steps.split[starts],
        preprocessing={**steps.preprocessing, "window": window, "hop": hop},
    )
    if steps.subject is None:
        return cut
    people, subject = np.unique(steps.subject[starts], return_inverse=True)
    names = tuple(steps.subject_names[k] for k in people)
    return replace(cut, subject=subject, subject_names=names)


class _Windows(Samples):
    """Stretches of `window` samples of another, from `starts` on."""

    def __init__(self, steps: Samples, starts: NDArray[np.int64], window: int) -> None:
        self._steps, self._starts, self._window = steps, starts, window
        self.shape, self.dtype = (window, *steps.shape), steps.dtype

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        steps = self._starts[rows][:, None] + np.arange(self._window)  # (n, window)
        return self._steps.read(steps.ravel()).reshape(len(rows), *self.shape)
