"""`edgemeta data`: look at a data set before training on it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from edgemeta.cli._data_options import (
    TasksName,
    by_option,
    data_options,
    root_option,
    split_seed_option,
)
from edgemeta.cli._files import check_out
from edgemeta.cli._groups import HintingGroup
from edgemeta.cli._options import json_option, listed, say_json
from edgemeta.cli._table import table
from edgemeta.data.clips import ClipReport
from edgemeta.data.layouts import recognise
from edgemeta.data.options import DataOptions, Unit
from edgemeta.errors import EdgemetaError, InputError
from edgemeta.tasks.check import DataReport, check_dataset
from edgemeta.tasks.opening import NAMES, divided, open_tasks, unknown
from edgemeta.util.choices import AUTO


@click.group(cls=HintingGroup)
def data() -> None:
    """Look at data before training on it.

    \b
    Example:
      edgemeta data check pictures
      edgemeta data preview pictures
    """


@data.command(short_help="Read every sample, and report counts, sizes and damage.")
@click.argument("tasks", metavar="DIR|FILE")
@root_option
@by_option
@split_seed_option
@data_options
@json_option
def check(
    tasks: str, root: Path | None, by: Unit, split_seed: int, data: DataOptions, as_json: bool
) -> None:
    """Read every sample of DIR or FILE, and report counts, sizes, duplicates and damage.

    The options are those of training. Exit code 1 says that something is wrong with the data.

    \b
    Example:
      edgemeta data check recordings --by subject
    """
    if tasks in NAMES:
        raise InputError(f"{tasks} is not your own data", expected="a folder, an .npz or a .csv")
    layout = recognise(tasks, root, data)
    if layout is None:
        raise unknown(tasks)
    try:
        dataset = layout.read(data)
    except InputError as error:
        if not (root or Path(tasks)).exists():
            raise
        _report_refusal(layout.name, error, as_json)
        raise EdgemetaError(f"{tasks} cannot be used as {layout.name}") from error
    source = divided(tasks, dataset, by=by, split_seed=split_seed, options=data)
    with click.progressbar(
        length=len(dataset.samples),
        label="samples",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as progress:
        found = check_dataset(
            layout.name, root or Path(tasks), dataset, source.rows, progress.update
        )
    if as_json:
        say_json(asdict(found))
    else:
        click.echo(_text(found))
    if found.problems:
        count = len(found.problems)
        raise EdgemetaError(f"{tasks} has {count} problem{'s' if count > 1 else ''}, listed above")


@data.command(short_help="Draw samples beside their augmented copies.")
@click.argument("tasks", type=TasksName())
@click.option(
    "--augment",
    default=AUTO,
    show_default=True,
    callback=listed,
    metavar="NAME,...",
    help="As for training: auto, or names.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("preview.png"),
    show_default=True,
    help="The PNG to write.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn."
)
@root_option
@by_option
@split_seed_option
@data_options
@json_option
def preview(
    tasks: str,
    augment: tuple[str, ...],
    out: Path,
    seed: int,
    root: Path | None,
    by: Unit,
    split_seed: int,
    data: DataOptions,
    as_json: bool,
) -> None:
    """Draw some samples of TASKS beside copies as `edgemeta train --augment` would show them.

    Look whether you would still know each copy for what it is. The options are those of training.

    \b
    Example:
      edgemeta data preview photographs --image-size 84 --augment crop,mirror
    """
    # Here, because checking data needs neither torch nor matplotlib.
    from edgemeta.meta.augment.preview import draw_preview

    check_out(out)
    source = open_tasks(tasks, root, by=by, split_seed=split_seed, options=data)
    names = draw_preview(source, augment, out, seed=seed)
    if as_json:
        say_json({"preview": str(out), "augment": names})
        return
    click.echo(f"{out}: augmented by {', '.join(names)}")


def _report_refusal(layout: str, error: InputError, as_json: bool) -> None:
    if as_json:
        say_json({"layout": layout, "problems": [str(error)]})
    else:
        click.echo(f"problem: {error}")


def _text(found: DataReport) -> str:
    shape = " x ".join(map(str, found.shape))
    low, middle, high = found.per_class
    kind = "tasks" if found.layout == "a regression table" else "classes"
    facts = [
        ("layout", found.layout),
        ("samples", f"{found.samples}, each {shape} {found.dtype}"),
        ("size", f"{_size(found.sample_bytes)} as read, {_size(found.disk_bytes)} on disk"),
        (kind, f"{found.classes}, of {low} / {middle:g} / {high} samples (min / median / max)"),
        ("subjects", "unknown" if found.subjects is None else str(found.subjects)),
        ("repeated", f"{found.duplicates} samples repeat another of their part"),
    ]
    if found.clips is not None:
        facts += _clip_facts(found.clips)
    rows = [[part.part, part.classes, part.samples] for part in found.parts]
    return "\n".join(
        [
            *(f"{name:<10} {value}" for name, value in facts),
            "",
            table(["part", kind, "samples"], rows),
            "",
            *(f"problem: {problem}" for problem in found.problems or ()),
            *([] if found.problems else ["no problems"]),
        ]
    )


def _clip_facts(clips: ClipReport) -> list[tuple[str, str]]:
    rates = ", ".join(f"{count} at {rate} Hz" for rate, count in clips.rates)
    low, middle, high = clips.seconds
    return [
        ("recordings", f"{rates}; {low:.2f} / {middle:.2f} / {high:.2f} s (min / median / max)"),
        (
            "window",
            f"{clips.window:g} s: {clips.shorter} recordings are shorter and filled with silence, "
            f"{clips.longer} are longer and cut",
        ),
    ]


def _size(count: int) -> str:
    """Return a number of bytes for people."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
