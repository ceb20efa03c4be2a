"""`edgemeta train`: meta-train an init."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import click

from edgemeta.cli._data_options import TasksName, data_options
from edgemeta.cli._options import json_option, say_json
from edgemeta.cli._table import table
from edgemeta.cli._train_options import train_options
from edgemeta.data.options import AS_IT_IS, DataOptions
from edgemeta.errors import InputError
from edgemeta.meta.models.foreign import OBJECT
from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.recipe import Recipe, asks_for_recipe
from edgemeta.meta.runs.config import TrainConfig, read_toml
from edgemeta.meta.runs.reading import with_ready_data
from edgemeta.meta.runs.resuming import resumed_config
from edgemeta.meta.runs.run import Run
from edgemeta.tasks.opening import EXPECTED


@click.command()
@click.argument("tasks", required=False, type=TasksName())
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A TOML file of these options; what the command line sets wins.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run's directory.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@train_options
@data_options
@json_option
def train(
    tasks: str | None,
    config: Path | None,
    out: Path,
    resume: bool,
    data: DataOptions,
    as_json: bool,
    **options: Any,
) -> None:
    """Meta-train an init on TASKS.

    TASKS is sinusoid, glyphs, omniglot, omniglot-vinyals, mnist or similar, or the path of your own
    data: an .npz, a .csv, a folder of images or recordings. The last options say how to read it.
    The init with the best validation is kept, and is evaluated once on the test part at the end.

    Without further options the recipe decides how to train (see --recipe). It takes about half an
    hour (--minutes), and tells what it compared. An option of a training by hand, such as
    --algorithm or --iterations, turns it off.

    \b
    Example:
      edgemeta train recordings --by subject --out runs/words
      edgemeta train glyphs --out runs/glyphs --iterations 2000
    """
    chosen = {"tasks": tasks, "data": data if data != AS_IT_IS else None} | options
    given = {name: value for name, value in chosen.items() if value not in (None, ())}
    training = _begun(out, given, config, resume or Ranks.restarted())
    # What schedulers and containers send first; like Ctrl-C, it loses nothing.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = training.train()
    except KeyboardInterrupt:
        click.echo(
            f"{training.stopped()}; continue with `edgemeta train --resume --out {out}`", err=True
        )
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
        training.close()
    if result is None:
        return
    if as_json:
        say_json({"run": str(out), **result})
        return
    if isinstance(training, Recipe):
        click.echo(table(**training.record["table"]) + "\n")
    click.echo(_said(result, out))


def _begun(out: Path, given: dict[str, Any], config: Path | None, resume: bool) -> Trainer | Recipe:
    """Return the training that the options ask for, new or resumed."""
    if not resume:
        given = (read_toml(config) if config else {}) | given
        if "tasks" not in given:
            raise InputError("no TASKS given", expected=EXPECTED)
    if Recipe.began(out) if resume else asks_for_recipe(given):
        return Recipe(out, given, resume=resume, say=lambda line: click.echo(line, err=True))
    given.pop("recipe", None)
    if not resume:
        return Trainer(TrainConfig.of(**with_ready_data(given)), out)
    settings = resumed_config(Run(out), given)
    if begun := [name for name in (settings.model, settings.tasks) if OBJECT.fullmatch(name)]:
        raise InputError(
            f"{out} was begun with objects in Python",
            got=", ".join(begun),
            hint=f"continue there: meta_train(model, source, out={str(out)!r}, resume=True)",
        )
    return Trainer(settings, out, resume=True)


def _said(result: dict[str, Any], out: Path) -> str:
    """Return what a training came to, in one line."""
    steps = f"{result['iterations']} outer steps: {result['best_iteration']}"
    if result["mean"] is None:
        return f"not tested ({result['statistics']}, best of {steps}). Run: {out}"
    return (
        f"{result['metric']} {result['mean']:.4f} ± {result['ci95']:.4f} on {result['episodes']} "
        f"{result['split']} episodes ({result['statistics']}, best of {steps}). Run: {out}"
    )
