"""More classes to train with: each one also changed, as a class of its own.

What tells classes apart is learned from many of them. A picture that lies on its side, or a word
backwards, is no sample of its class, but a class like others: Santoro et al. 2016, "Meta-Learning
with Memory-Augmented Neural Networks", section 4.1, turn characters by quarters for this.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edgemeta.data.dataset import Change
from edgemeta.errors import InputError
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.kinds import channels_last, data_kind, time_axis
from edgemeta.tasks.source import TaskSource
from edgemeta.util.choices import AUTO, NONE, check_choices

TURNS, REVERSE = "turns", "reverse"
MORE_CLASSES = (TURNS, REVERSE)
MANY = 1000  # classes; with so many, "auto" takes no more


def with_more_classes(source: TaskSource, names: Sequence[str]) -> TaskSource:
    """Return a source whose training part shows more classes.

    "turns": square images turned by 90, 180 and 270 degrees. "reverse": recordings, their spectra,
    and series backwards in time. Validation and test part stay as they are.

    Args:
        source: of raw samples. Others than a data set make their classes themselves, as Omniglot
            turns its characters, and get no more.
        names: ("none",), ("auto",), or names. "auto" takes what suits the data, and nothing where
            training shows many classes, or where those of test tasks are not new.

    Returns:
        The source itself where nothing is added. Class k of the source stays class k.

    Raises:
        InputError: a name is unknown, or does not suit the data.

    Example:
        >>> import numpy as np
        >>> from edgemeta import tasks
        >>> from edgemeta.tasks.more_classes import with_more_classes
        >>> x = np.random.default_rng(0).normal(size=(200, 20, 3)).astype(np.float32)
        >>> source = tasks.from_arrays(x, np.arange(200) % 10)
        >>> more = with_more_classes(source, ["reverse"])
        >>> [len(each.classes("train")) for each in (source, more)]
        [6, 12]
    """
    check_choices("more_classes", names, MORE_CLASSES)
    if names[0] == NONE:
        return source
    fits = [name for name in MORE_CLASSES if _refusal(source, name) is None]
    if names[0] == AUTO:
        names = fits if _wants_more(source) else ()
    for name in names:
        if name not in fits:
            raise InputError(
                f"more_classes: no {name} of {source.name}",
                got=_refusal(source, name),
                expected=" or ".join([*fits, NONE]),
            )
    if not names or not isinstance(source, DatasetSource):
        return source
    changes = [change for name in dict.fromkeys(names) for change in _changes(source, name)]
    return source.with_training_classes(changes)


def _wants_more(source: TaskSource) -> bool:
    """Whether test tasks show new classes, and training has few to learn from."""
    if not isinstance(source, DatasetSource) or source.unit == "subject":
        return False
    return len(source.classes("train")) < MANY


def _refusal(source: TaskSource, name: str) -> str | None:
    """Return why a name does not suit a source; None where it does."""
    kind, shape = data_kind(source), tuple(source.input_shape)
    if not isinstance(source, DatasetSource):
        return "regression" if source.kind == "regression" else "a source that makes its classes"
    if source.fixed:
        return "labels that keep their meaning"
    if name == REVERSE:
        return f"{kind} without a time" if time_axis(kind, shape) is None else None
    if kind != "images":
        return kind
    height, width = _sides(shape)
    return None if shape[height] == shape[width] else f"images of shape {shape}"


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return which axes of an image are height and width."""
    return (0, 1) if len(shape) == 2 or channels_last(shape) else (1, 2)


def _changes(source: TaskSource, name: str) -> list[tuple[Change, str]]:
    """Return the changes that a name stands for."""
    shape = tuple(source.input_shape)
    if name == REVERSE:
        axis = time_axis(data_kind(source), shape)
        assert axis is not None  # noqa: S101  # see _refusal
        return [(partial(np.flip, axis=axis + 1), "backwards")]
    height, width = _sides(shape)
    axes = height + 1, width + 1
    return [(partial(np.rot90, k=k, axes=axes), f"turned by {90 * k}°") for k in (1, 2, 3)]
