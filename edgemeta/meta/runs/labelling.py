"""Whether the labels of a run keep their meaning: settled once, when its data are opened."""

from __future__ import annotations

from dataclasses import replace

from edgemeta.errors import InputError
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.fixed_labels import may_be_fixed, with_fixed_labels

WAYS = TrainConfig.ways  # of shuffled labels, where none are given


def settled(config: TrainConfig, source: TaskSource) -> tuple[TrainConfig, TaskSource]:
    """Return a config that leaves nothing open about the labels, and a source that shows them so.

    Args:
        config: labels "auto" are fixed where the source allows it and the head is linear, shuffled
            elsewhere. Ways of 0 are unset: with fixed labels they become the number of classes.
        source: of the config's tasks.

    Raises:
        InputError: labels are to be fixed and cannot be, or the ways differ from the classes.
    """
    labels = config.labels
    if labels == "auto":
        labels = "fixed" if config.head == "linear" and may_be_fixed(source) else "shuffled"
    if labels == "shuffled":
        return replace(config, labels=labels, ways=config.ways or WAYS), source
    source = fixed(source)
    if config.ways not in (0, len(source.fixed)):
        raise InputError(
            "labels keep their meaning, so a task has all classes",
            got=f"ways = {config.ways}",
            expected=f"{len(source.fixed)} classes of {source.name}",
            hint="leave out --ways, or use --labels shuffled",
        )
    return replace(config, labels=labels, ways=len(source.fixed)), source


def fixed(source: TaskSource) -> ClassSource:
    """Return a source with fixed labels; itself if it has them."""
    if isinstance(source, ClassSource) and source.fixed:
        return source
    return with_fixed_labels(source)


def labelled(source: TaskSource, config: TrainConfig) -> TaskSource:
    """Return a source of a run with labels as the run has them.

    Raises:
        InputError: they are fixed, and those of the source cannot be.
    """
    return fixed(source) if config.labels == "fixed" else source
