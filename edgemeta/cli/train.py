"""`edgemeta train`: meta-train an init."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from edgemeta.errors import InputError
from edgemeta.meta.config import ALGORITHMS, DEVICES, TrainConfig, read_toml
from edgemeta.meta.models import HEADS, MODELS, NORMS, POOLS
from edgemeta.meta.run import Run
from edgemeta.meta.trainer import Trainer, resumed_config

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}


def _option(name: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Return a click option whose default is that of `TrainConfig`."""
    flag = "--" + name.replace("_", "-")
    default = DEFAULTS[name]
    settings.setdefault("type", type(default))
    return click.option(flag, name, default=default, show_default=True, help=help, **settings)


def _widths(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse "40,40"."""
    try:
        return tuple(int(width) for width in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no list of widths such as 40,40") from error


def _load(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Let the file's options stand in for the defaults; the command line still wins."""
    if value is not None:
        try:
            options = read_toml(value)
        except InputError as error:
            raise click.BadParameter(str(error)) from error
        # Click wants defaults as they would be typed.
        if "hidden" in options:
            options["hidden"] = ",".join(map(str, options["hidden"]))
        context.default_map = options
    return value


@click.command()
@click.argument("tasks", required=False)
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_load,
    is_eager=True,
    help="A TOML file of these options; what the command line sets wins.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run's directory.",
)
@click.option("--resume", is_flag=True, help="Continue the run in --out.")
@_option("root", "Where the data of TASKS lie.")
@_option("by", "What is new at test time.", type=click.Choice(["class", "subject"]))
@_option("algorithm", "Second or first order.", type=click.Choice(ALGORITHMS))
@_option("model", "The network.", type=click.Choice(MODELS))
@_option("width", "conv4: filters per block.")
@_option("pool", "conv4: how a block halves the image.", type=click.Choice(POOLS))
@_option(
    "norm",
    "conv4: group and support (support-set statistics) predict one sample at a time; "
    "transductive, for comparison, needs all queries at once.",
    type=click.Choice(NORMS),
)
@click.option(
    "--hidden", default="40,40", show_default=True, callback=_widths, help="mlp: layer widths."
)
@_option(
    "head",
    "linear: tasks of up to --ways classes; shared: of any number.",
    type=click.Choice(HEADS),
)
@_option("ways", "Classes per task.")
@_option("shots", "Support samples per class.")
@_option("queries", "Query samples per class in the outer loss.")
@_option("inner_steps", "Inner steps per task.")
@_option("inner_lr", "Inner learning rate, on the mean support loss.")
@_option("meta_lr", "Outer learning rate (Adam), falling along half a cosine.")
@_option("meta_batch", "Tasks per outer step.")
@_option("iterations", "Outer steps.")
@_option("validate_every", "Outer steps between validations.")
@_option("validation_episodes", "Tasks per validation.")
@_option("test_episodes", "Tasks of the final test of the best checkpoint.")
@_option("evaluation_queries", "Query samples per class in validation and test.")
@_option("seed", "Of weights and episodes.")
@_option("device", "Where to train.", type=click.Choice(DEVICES))
@_option("threads", "CPU threads; small networks gain nothing from a second.")
@click.pass_context
def train(
    context: click.Context,
    /,
    tasks: str | None,
    config: Path | None,
    out: Path,
    resume: bool,
    **options: Any,
) -> None:
    """Meta-train an init on TASKS.

    TASKS is sinusoid, glyphs, omniglot, omniglot-vinyals, or the path of an .npz with x and y.
    The init that validates best is kept, and evaluated once on the test part at the end.

    \b
    Example:
      edgemeta train glyphs --out runs/glyphs --iterations 2000
    """
    if resume:
        given = {
            name: value
            for name, value in ({"tasks": tasks} | options).items()
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        }
        settings = resumed_config(Run(out), given)
    else:
        tasks = tasks or (context.default_map or {}).get("tasks")
        if tasks is None:
            raise InputError("no TASKS given", expected="sinusoid, glyphs, omniglot or an .npz")
        settings = TrainConfig(tasks=tasks, **options)
    trainer = Trainer(settings, out, resume=resume)
    try:
        result = trainer.train()
    except KeyboardInterrupt:
        click.echo(
            f"stopped at outer step {trainer.iteration}; "
            f"continue with `edgemeta train --resume --out {out}`",
            err=True,
        )
        raise
    click.echo(
        f"{result['metric']} {result['mean']:.4f} ± {result['ci95']:.4f} on {result['episodes']} "
        f"{result['split']} episodes ({result['statistics']}, best of {result['iterations']} "
        f"outer steps: {result['best_iteration']}). Run: {out}"
    )
