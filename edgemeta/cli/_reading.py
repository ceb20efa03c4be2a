"""Data that are divided and read as in training, but for the options that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from edgemeta.cli._table import printable
from edgemeta.data.layouts import DATA_NAMES, completed
from edgemeta.data.options import DataOptions, Unit, flag
from edgemeta.data.recorded import Reading
from edgemeta.tasks.opening import NAMES


class Given(NamedTuple):
    """What the user says of data; what is None or an option's default is as in training.

    Attributes:
        by: what is new at test time.
        split_seed: decides the parts that the data leaves open.
        options: how the files are read.
    """

    by: Unit | None
    split_seed: int | None
    options: DataOptions


class Chosen(NamedTuple):
    """How data are divided and read, and why so.

    Attributes:
        reading: how.
        kept: what is as in training and not the default, by option.
        left_out: options of the training that do not apply to these data.
    """

    reading: Reading
    kept: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def choose_reading(tasks: str, root: Path | None, given: Given, trained: Reading) -> Chosen:
    """Return how to divide and read data: each option as given, or else as in training.

    Args:
        tasks: a name or a path. What edgemeta knows by name is divided by class.
        root: where the data of a name lie.
        given: by the user.
        trained: how the training's data were divided and read.

    Raises:
        InputError: a folder has no known layout.
    """
    if tasks in NAMES:
        return Chosen(Reading(given.by or "class", given.split_seed or 0, given.options), {})
    options = completed(tasks, root, given.options, trained.options)
    own, theirs, got = options.given(), trained.options.given(), given.options.given()
    kept = {name: value for name, value in own.items() if name not in got}
    by: Unit = "class" if tasks in DATA_NAMES else trained.by
    if given.split_seed is None and trained.split_seed:
        kept = {"split_seed": trained.split_seed, **kept}
    if given.by is None and by != "class":
        kept = {"by": by, **kept}
    seed = trained.split_seed if given.split_seed is None else given.split_seed
    left_out = tuple(sorted(theirs.keys() - own.keys()))
    return Chosen(Reading(given.by or by, seed, options), kept, left_out)


def note_reading(chosen: Chosen) -> None:
    """Say what is as in training, and what of the training does not apply."""
    if chosen.kept:
        said = " ".join(
            flag(name) if value is True else f"{flag(name)} {_text(value)}"
            for name, value in chosen.kept.items()
        )
        click.echo(printable(f"note: data are divided and read as in training: {said}"), err=True)
    if chosen.left_out:
        said = " ".join(map(flag, chosen.left_out))
        click.echo(
            f"note: options of the training that do not apply to these data: {said}", err=True
        )


def note_division(chosen: Reading, trained: Reading) -> None:
    """Say that the test part may show what the training showed, where that may be."""
    if chosen[:2] != trained[:2] and not chosen.options.test_only:
        click.echo(
            "note: training divided these data otherwise, so the test part may show classes or "
            "people of the training",
            err=True,
        )


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
