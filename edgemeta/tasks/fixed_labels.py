"""Labels that keep their meaning: where everybody shows the same classes, and people are new.

Label k is the k-th class id of the data in every episode, so a model may learn before it meets a
person what a class looks like. Elsewhere each episode numbers its classes anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from edgemeta.bundle.state import is_label
from edgemeta.errors import InputError, did_you_mean
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.source import SPLITS, TaskSource

Labels = Literal["auto", "shuffled", "fixed"]
LABELS: tuple[Labels, ...] = get_args(Labels)
NOT_HERE = "its labels cannot keep their meaning"


def may_be_fixed(source: TaskSource) -> bool:
    """Whether labels can keep their meaning; see `with_fixed_labels`."""
    return isinstance(source, ClassSource) and _why_not(source) is None


def with_fixed_labels(source: TaskSource) -> ClassSource:
    """Return the same source with labels that keep their meaning: k is the k-th class id.

    Args:
        source: one divided by subject, each of whose training people shows the same classes.

    Raises:
        InputError: the source is another, or a class has a name that a bundle cannot hold.

    Example:
        >>> import numpy as np
        >>> from edgemeta import tasks
        >>> y, people = np.arange(80) % 2, np.arange(80) // 8
        >>> x = np.arange(80.0)[:, None]
        >>> source = tasks.from_arrays(x, y, subject=people, by="subject")
        >>> with_fixed_labels(source).fixed
        (0, 1)
    """
    if not isinstance(source, ClassSource):
        raise InputError(f"{source.name}: {NOT_HERE}", got=source.kind, expected="classification")
    if problem := _why_not(source):
        raise problem
    return _checked(source.with_fixed(sorted(source.classes("train"))))


def with_labels_called(source: TaskSource, names: Sequence[str]) -> ClassSource:
    """Return a source whose label k is the class called `names[k]`, as another data calls it.

    Args:
        source: of the kind that a training with fixed labels had, perhaps of other people.
        names: the labels of that training; other classes of the source are left out.

    Raises:
        InputError: the source has no class of such a name.
    """
    if not isinstance(source, ClassSource):
        raise InputError(f"{source.name}: {NOT_HERE}", got=source.kind, expected="classification")
    here = sorted(frozenset().union(*(source.classes(split) for split in SPLITS)))
    ids = {class_name(source, class_id): class_id for class_id in here}
    for name in names:
        if name not in ids:
            raise InputError(
                f"{source.name} has no class that the labels of the training name",
                got=name,
                expected=f"classes called {', '.join(names)}",
                hint=did_you_mean(name, ids),
            )
    return source.with_fixed([ids[name] for name in names])


def label_names(source: TaskSource) -> tuple[str, ...]:
    """Return what the labels 0, 1, ... are called; () where they are shuffled."""
    if not isinstance(source, ClassSource):
        return ()
    return tuple(class_name(source, class_id) for class_id in source.fixed)


def class_name(source: ClassSource, class_id: int) -> str:
    """Return the name of a class; its id where it has none."""
    name = source.class_name(class_id)
    return str(class_id) if name is None else name


def _why_not(source: ClassSource) -> InputError | None:
    """Return why the labels of a source must be shuffled; None if they need not be."""
    hint = "use --labels shuffled"
    if source.unit != "subject":
        return InputError(
            f"{source.name}: {NOT_HERE}, because new classes are to be learned",
            got=f'by="{source.unit}"',
            expected='by="subject"',
            hint=hint,
        )
    shown = [frozenset(pool.classes.tolist()) for pool in source.pools("train")]
    every = frozenset().union(*shown)
    if len(every) < 2:
        return InputError(
            f"{source.name}: {NOT_HERE}",
            got=f"{len(every)} classes",
            expected="at least 2",
            hint=hint,
        )
    if lacking := sum(classes != every for classes in shown):
        return InputError(
            f"{source.name}: {NOT_HERE}, because the people of the training show different classes",
            got=f"{lacking} of {len(shown)} lack some of {len(every)} classes",
            expected="each shows all",
            hint=f"leave these people out, or {hint}",
        )
    return None


def _checked(source: ClassSource) -> ClassSource:
    names = label_names(source)
    odd = [name for name in names if not is_label(name)]
    if odd or len(set(names)) != len(names):
        raise InputError(
            f"{source.name}: its classes have names that a bundle cannot hold",
            got=repr(odd[0]) if odd else f"one name twice in {', '.join(names)}",
            expected="for each class another text without control characters",
            hint="rename them, or use --labels shuffled",
        )
    return source
