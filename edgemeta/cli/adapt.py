"""`edgemeta adapt`: adapt a bundle to a support set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle.state import Label
from edgemeta.cli._files import check_out
from edgemeta.cli._options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli._table import blocks, printable, table
from edgemeta.data.samples import label_of, number_classes, read_support
from edgemeta.device.runner import Learner, Runner
from edgemeta.errors import InputError

MOST_ROWS = 40  # of classes that are shown


@click.command()
@bundle_argument
@click.argument("support", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The .safetensors file to write."
)
@click.option("--steps", type=int, help="Inner steps. [default: the bundle's]")
@click.option(
    "--lr-scale",
    type=float,
    default=1.0,
    show_default=True,
    help="Multiplies the inner learning rate.",
)
@click.option(
    "--state", type=click.Path(path_type=Path), help="Continue from this state, not from the init."
)
@click.option(
    "--ways",
    type=int,
    help="Classes of this task. [default: those that SUPPORT names; without names, all of the "
    "head's, or to a shared head those of the labels]",
)
@threads_option
@json_option
def adapt(
    bundle: Path,
    support: Path,
    out: Path,
    steps: int | None,
    lr_scale: float,
    state: Path | None,
    ways: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Adapt BUNDLE to the labelled samples of SUPPORT and write the state.

    SUPPORT is one of these; what training did to the raw data is done here, too:

    \b
      folder  class/*.png (or .jpg, ...), or class/*.wav (or .flac, ...) for a bundle of sounds
      .csv    time series or a row per sample, with a column "label" (or the target's)
      .npz    x: raw samples; y: labels 0, 1, ..., names of classes, or targets

    Names of classes are kept in the state, for `edgemeta predict`. Drawings for a bundle of
    omniglot or glyphs are dark ink on light paper.

    \b
    Example:
      edgemeta adapt omniglot drawings --out mine.safetensors
    """
    check_out(out)
    runner = Runner(bundle, threads=threads)
    x, y = read_support(support, runner.manifest)
    start = None if state is None else runner.load(state)
    task = _task(runner, y, start, ways)
    began = time.perf_counter()
    learner = runner.adapt(x, task.y, steps=steps, lr_scale=lr_scale, state=start, ways=task.ways)
    milliseconds = (time.perf_counter() - began) * 1e3
    learner.save(out, task.labels)
    if start is not None:
        _note_the_absent(start, task)
    losses = learner.losses.tolist()
    if as_json:
        record = {"state": str(out), "samples": len(x), "steps": len(losses) - 1}
        record |= {"losses": losses, "milliseconds": milliseconds}
        say_json(record | ({} if task.labels is None else {"classes": task.labels}))
        return
    if learner.ways is not None:
        click.echo(_classes(learner, x, task))
    click.echo(f"support loss {losses[0]:.4f} {blocks(losses)} {losses[-1]:.4f}")
    click.echo(f"{out}: {len(x)} samples, {len(losses) - 1} steps in {milliseconds:.1f} ms")


def _note_the_absent(start: Learner, task: _Task) -> None:
    """Warn of classes of the state that the support set does not show: they may be forgotten."""
    absent = sorted(set(range(start.ways or 0)) - set(task.y.ravel().tolist()))
    if absent:
        names = ", ".join(str(label_of(task.labels, k)) for k in absent[:5])
        more = ", ..." * (len(absent) > 5)
        note = f"note: no samples of {names}{more}, which may be forgotten; better pass theirs too"
        click.echo(printable(note), err=True)


class _Task(NamedTuple):
    """What is adapted to: labels or targets, how many classes, and what they are called."""

    y: NDArray[Any]
    ways: int | None
    labels: tuple[Label, ...] | None


def _task(
    runner: Runner,
    y: NDArray[Any],
    start: Learner | None,
    ways: int | None,
) -> _Task:
    """Give named classes numbers, those of the state first.

    Raises:
        InputError: there are too few or too many, or the bundle is for regression.
    """
    known = None if start is None else start.labels
    if y.dtype.kind != "U":
        return _Task(y, ways, known)
    most = runner.manifest.most_ways
    if most is None:
        raise InputError("y holds names, and this bundle is for regression", expected="targets")
    before = range(0 if start is None else start.ways or 0)
    labels, y = number_classes(y, [k if known is None else label_of(known, k) for k in before])
    if not 2 <= len(labels) <= most:
        raise InputError(
            "SUPPORT has the wrong number of classes",
            got=f"{len(labels)}: {', '.join(map(str, labels[:5]))}{', ...' * (len(labels) > 5)}",
            expected=f"2..{most}",
            hint="pass --state to add a class to those of a state" if len(labels) < 2 else None,
        )
    return _Task(y, len(labels) if ways is None else ways, labels)


def _classes(learner: Learner, x: NDArray[Any], task: _Task) -> str:
    """Return a table: how many samples each class has, and how many of them are recognised."""
    right = learner.predict(x) == task.y
    present = np.unique(task.y).tolist()
    rows: list[list[object]] = []
    for k in present[:MOST_ROWS]:
        mine = task.y == k
        rows.append([str(label_of(task.labels, k)), int(mine.sum()), int(right[mine].sum())])
    text = table(["class", "samples", "recognised"], rows)
    if len(present) > MOST_ROWS:
        text += f"\n... and {len(present) - MOST_ROWS} more classes"
    return f"{text}\n"
