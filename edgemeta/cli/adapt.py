"""`edgemeta adapt`: adapt a bundle to a support set."""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np

from edgemeta.cli._files import check_out
from edgemeta.cli._options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli._table import blocks, printable, table
from edgemeta.data.labels import label_of
from edgemeta.data.samples import Support, read_support
from edgemeta.device.runner import Learner, Runner

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

    SUPPORT is one of these. Raw data is preprocessed as in training:

    \b
      folder  class/*.png (or .jpg, ...), or class/*.wav (or .flac, ...) for a bundle of sounds
      .csv    time series or a row per sample, with a column "label" (or the target's)
      .npz    x: raw samples; y: labels 0, 1, ..., names of classes, or targets

    The state keeps the names of the classes for `edgemeta predict`. If the bundle itself names its
    classes, SUPPORT has samples of all or some of them, under these names. For a bundle of omniglot
    or glyphs, draw with dark ink on light paper.

    \b
    Example:
      edgemeta adapt omniglot drawings --out mine.safetensors
    """
    check_out(out)
    runner = Runner(bundle, threads=threads)
    start = None if state is None else runner.load(state)
    found = read_support(support, runner, start)
    began = time.perf_counter()
    learner = runner.adapt(
        found.x,
        found.y,
        steps=steps,
        lr_scale=lr_scale,
        state=start,
        ways=found.ways if ways is None else ways,
    )
    milliseconds = (time.perf_counter() - began) * 1e3
    learner.save(out, found.labels)
    if note := _note_of_absent(runner, start, found):
        click.echo(printable(note), err=True)
    losses = learner.losses.tolist()
    if as_json:
        record = {"state": str(out), "samples": len(found.x), "steps": len(losses) - 1}
        record |= {"losses": losses, "milliseconds": milliseconds}
        say_json(record | ({} if found.labels is None else {"classes": found.labels}))
        return
    if learner.ways is not None:
        click.echo(_classes(learner, found))
    click.echo(f"support loss {losses[0]:.4f} {blocks(losses)} {losses[-1]:.4f}")
    click.echo(f"{out}: {len(found.x)} samples, {len(losses) - 1} steps in {milliseconds:.1f} ms")


def _note_of_absent(runner: Runner, start: Learner | None, support: Support) -> str | None:
    """Return a warning of classes without samples in the support set, which may be forgotten.

    Those of the state, or that the bundle names. A network that was meta-trained on support sets
    that lack classes has learned to keep them, up to half of all.
    """
    named = runner.manifest.labels is not None
    if not named and start is None:
        return None
    ways = runner.manifest.ways if start is None else start.ways
    absent = sorted(set(range(ways or 0)) - set(support.y.ravel().tolist()))
    training = runner.manifest.trained.config.others
    keeps = bool(training.get("partial_share")) and training.get("algorithm") != "pretrain"
    if not absent or (named and keeps and 2 * len(absent) <= (ways or 0)):
        return None
    names = ", ".join(str(label_of(support.labels, k)) for k in absent[:5])
    more = ", ..." * (len(absent) > 5)
    return f"note: no samples of {names}{more}, which may be forgotten; pass samples of them too"


def _classes(learner: Learner, support: Support) -> str:
    """Return a table: how many samples each class has, and how many of them are recognised."""
    right = learner.predict(support.x) == support.y
    present = np.unique(support.y).tolist()
    rows: list[list[object]] = []
    for k in present[:MOST_ROWS]:
        mine = support.y == k
        rows.append([str(label_of(support.labels, k)), int(mine.sum()), int(right[mine].sum())])
    text = table(["class", "samples", "recognised"], rows)
    if len(present) > MOST_ROWS:
        text += f"\n... and {len(present) - MOST_ROWS} more classes"
    return f"{text}\n"
