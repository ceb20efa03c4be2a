"""Options for the place of a user's data and how to read it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgemeta.data.layouts import DATA_NAMES
from edgemeta.data.options import COLORS, DRAWS, FEATURES, FITS, UNITS, DataOptions, flag
from edgemeta.tasks.opening import NAMES


class TasksName(click.types.StringParamType):
    """What TASKS may be: a known name, or the path of a user's own data."""

    name = "tasks"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the known names, and files."""
        named = [CompletionItem(n) for n in (*NAMES, *DATA_NAMES) if n.startswith(incomplete)]
        return [*named, CompletionItem(incomplete, type="file")]


root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="The place of the data, for TASKS given by name.",
)
by_option = click.option(
    "--by",
    type=click.Choice(UNITS),
    default="class",
    show_default=True,
    help="Your own data: what is new at test time.",
)
split_seed_option = click.option(
    "--split-seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Your own data: decides the parts that the data does not name.",
)


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    """Parse "ax,ay"."""
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _list(name: str, help: str) -> Any:
    return click.option(
        flag(name), name, default="", callback=_names, metavar="NAME,...", help=help
    )


def _one(name: str, help: str, type: Any = int) -> Any:
    return click.option(flag(name), name, type=type, help=help)


_COLUMN = click.STRING
# One for each field of `DataOptions`, in their order.
_OPTIONS = (
    _one("image_size", "Images: sides in pixels. [default: the first image's]"),
    _one("color", "Images. [default: the first image's]", click.Choice(COLORS)),
    _one(
        "fit",
        "Images of another shape: scale both sides (squash), or keep the middle (crop). "
        "[default: squash]",
        click.Choice(FITS),
    ),
    _one("features", "Recordings. [default: mfcc]", click.Choice(FEATURES)),
    _one("sample_rate", "Recordings: in Hz. [default: the first file's; wave: 16000]"),
    _one(
        "seconds",
        "Recordings: length that clips are cut or filled to. [default: 1; wave: 1.28]",
        float,
    ),
    _one("mels", "Spectra: mel bands. [default: 40]"),
    _one("coefficients", "Spectra: MFCC that are kept. [default: 10]"),
    _one("window", "Time series: steps per sample. Spectra: ms per frame. [default: 40]"),
    _one("hop", "Time series: steps between windows. [default: window] Spectra: ms. [default: 20]"),
    _list("columns", "CSV: input columns. [default: all others]"),
    _one("label", "CSV: column of the class. [default: label]", _COLUMN),
    _one("subject", "CSV: column of the subject. [default: subject, if any]", _COLUMN),
    _list("target", "Regression table: columns to predict. [default: target]"),
    _one("task", "Regression table: column that identifies the task (required).", _COLUMN),
    _one(
        "draw",
        "Whose samples form a task: one person's, or everybody's. "
        "[default: subject with --by subject]",
        click.Choice(DRAWS),
    ),
    click.option("--test-only", is_flag=True, help="Use all data as the test part."),
)
DATA_OPTIONS = tuple(DataOptions.__dataclass_fields__)


# Those of files and arrays that a pre-trained network may take.
FILE_OPTIONS = ("image_size", "color", "fit", "features", "sample_rate", "seconds", "draw")


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `DataOptions`, which it gets as the argument `data`."""
    return _with_options(command, DATA_OPTIONS)


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `FILE_OPTIONS`, which it gets as the argument `data`."""
    return _with_options(command, FILE_OPTIONS)


def _with_options(command: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        data = DataOptions(**{name: options.pop(name) for name in names})
        return command(*arguments, data=data, **options)

    for name, option in reversed(list(zip(DATA_OPTIONS, _OPTIONS, strict=True))):
        if name in names:
            wrapped = option(wrapped)
    return wrapped
