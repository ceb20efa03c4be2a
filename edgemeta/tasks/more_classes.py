"""More classes to train with: each one also changed, as a class of its own.

What tells classes apart is learned from many of them. A picture that lies on its side, or a word
backwards, is no sample of its class, but a class like others: Santoro et al. 2016, "Meta-Learning
with Memory-Augmented Neural Networks", section 4.1, turn characters by quarters for this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError
from edgemeta.tasks.classes import ClassSource, Pool
from edgemeta.tasks.kinds import channels_last, data_kind, time_axis
from edgemeta.tasks.source import SPLITS, Split, TaskSource
from edgemeta.util.choices import AUTO, NONE, check_choices

TURNS, REVERSE = "turns", "reverse"
MORE_CLASSES = (TURNS, REVERSE)
MANY = 1000  # classes; with so many, "auto" takes no more

# Samples (n, *shape) to changed ones (n, *shape), and what a class is called then.
Change = tuple[Callable[[NDArray[Any]], NDArray[Any]], str]


def with_more_classes(source: TaskSource, names: Sequence[str]) -> TaskSource:
    """Return a source whose training part shows more classes.

    "turns": square images turned by 90, 180 and 270 degrees. "reverse": recordings, their spectra,
    and series backwards in time. Validation and test part stay as they are.

    Args:
        source: of raw samples.
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
    if not names or not isinstance(source, ClassSource):
        return source
    return _MoreClasses(
        source, [c for name in dict.fromkeys(names) for c in _changes(source, name)]
    )


def _wants_more(source: TaskSource) -> bool:
    """Whether test tasks show new classes, and training has few to learn from."""
    if not isinstance(source, ClassSource) or source.unit == "subject":
        return False
    return len(source.classes("train")) < MANY


def _refusal(source: TaskSource, name: str) -> str | None:
    """Return why a name does not suit a source; None where it does."""
    kind, shape = data_kind(source), tuple(source.input_shape)
    if not isinstance(source, ClassSource):
        return source.kind
    if source.fixed:
        return "labels that keep their meaning"
    if name == REVERSE:
        return f"{kind} without a time" if time_axis(kind, shape) is None else None
    if kind != "images":
        return kind
    if source.turns:
        return "a source that turns images itself"
    height, width = _sides(shape)
    return None if shape[height] == shape[width] else f"images of shape {shape}"


def _sides(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return which axes of an image are height and width."""
    return (0, 1) if len(shape) == 2 or channels_last(shape) else (1, 2)


def _changes(source: TaskSource, name: str) -> list[Change]:
    """Return the changes that a name stands for."""
    shape = tuple(source.input_shape)
    if name == REVERSE:
        axis = time_axis(data_kind(source), shape)
        assert axis is not None  # noqa: S101  # see _refusal
        return [(partial(np.flip, axis=axis + 1), "backwards")]
    height, width = _sides(shape)
    axes = height + 1, width + 1
    return [(partial(np.rot90, k=k, axes=axes), f"turned by {90 * k}°") for k in (1, 2, 3)]


class _MoreClasses(ClassSource):
    """A source with changed classes in its training part.

    Class c changed by change k has the id c + (k + 1) n, where all ids of the source are below n.
    """

    def __init__(self, source: ClassSource, changes: Sequence[Change]) -> None:
        self._source, self._changes = source, changes
        self.name, self.unit, self.turns = source.name, source.unit, source.turns
        self.input_shape, self.input_dtype = source.input_shape, source.input_dtype
        self._of_one_subject = source._of_one_subject
        self._too_small_hint = source._too_small_hint
        self._below = 1 + max(max(source.classes(split), default=0) for split in SPLITS)
        shifts = self._below * np.arange(1 + len(changes))
        self._training = tuple(
            Pool((shifts[:, None] + pool.classes).ravel(), pool.samples * len(shifts))
            for pool in source.pools("train")
        )

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What was done to the raw data; that training changes it is not for a device."""
        return self._source.preprocessing

    def pools(self, split: Split) -> Sequence[Pool]:
        """Return the pools of a part; those of the training part have the changed classes, too."""
        return self._training if split == "train" else self._source.pools(split)

    def units(self, split: Split) -> frozenset[int]:
        """Return the ids of this part's units, as the source has them."""
        return self._source.units(split)

    def class_name(self, class_id: int) -> str | None:
        """Return the name of a class, and how it is changed."""
        change, original = divmod(class_id, self._below)
        name = self._source.class_name(original)
        return f"{name}, {self._changes[change - 1][1]}" if name and change else name

    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        change, original = divmod(class_id, self._below)
        x = self._source._load(original, samples, rng)
        return self._changes[change - 1][0](x) if change else x
