"""`edgemeta baselines`: compare a run with baselines without meta-learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgemeta.cli._data_options import root_option
from edgemeta.cli._options import json_option, say_json
from edgemeta.cli._table import table
from edgemeta.measure.evaluate import plus_minus
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.compare.record import chosen, curve_row, curve_shots
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.run import Run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--tasks", help="Where the run's data lie now. [default: as trained]")
@root_option
@click.option(
    "--episodes",
    type=click.IntRange(min=2),
    default=600,
    show_default=True,
    help="Of the test part.",
)
@click.option("--seed", default=0, show_default=True, help="Of the episodes.")
@click.option(
    "--shots",
    type=click.IntRange(min=1),
    help="Support samples per class (regression: in all). [default: the run's]",
)
@click.option(
    "--pretrain-iterations",
    type=click.IntRange(min=1),
    help="Outer steps of the pre-training. [default: as many samples as the run has seen]",
)
@click.option(
    "--curve-episodes",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="Test episodes for each of 1, 2, 5 and 10 shots; 0: none.",
)
@json_option
def baselines(
    run: Path,
    tasks: str | None,
    root: Path | None,
    episodes: int,
    seed: int,
    shots: int | None,
    pretrain_iterations: int | None,
    curve_episodes: int,
    as_json: bool,
) -> None:
    """Compare RUN with supervised pre-training and random weights, on the same test episodes.

    First trains a supervised baseline in RUN/baselines/pretrained, on the same data, with the same
    augmentation, model and number of samples; a RUN that is a pre-training is that itself. Then its
    head, or all its weights, adapt to each episode, or its features are classified: by the nearest
    prototype, by the nearest centred cosine, by logistic regression. Random weights adapt likewise.
    What a baseline leaves open, such as steps and rates, is chosen on the validation part.

    The figures go to RUN/baselines.json and replace those of another setting. The command continues
    where it was interrupted.

    \b
    Example:
      edgemeta baselines runs/glyphs --episodes 600
    """
    told = Run(run)
    if tasks is not None or root is not None:
        told.source = open_run_tasks(told.config(), tasks, root)
    try:
        record = compare(
            told,
            episodes=episodes,
            seed=seed,
            shots=shots,
            pretrain_iterations=pretrain_iterations,
            curve_episodes=curve_episodes,
        )
    except KeyboardInterrupt:
        click.echo("stopped; run the same command again to continue", err=True)
        raise
    if as_json:
        say_json(record)
        return
    metric, setting, grid = record["metric"], record["setting"], record["grid"]
    rows = [
        [
            *(entry["init"], entry["method"], *chosen(entry)),
            plus_minus(entry["mean"], entry["ci95"]),
            "" if entry.get("gain") is None else plus_minus(**entry["gain"]),
        ]
        for entry in record["contestants"]
    ]
    click.echo(table(["init", "method", "steps", "inner_lr", metric, "the run is better by"], rows))
    click.echo(
        f"\n{setting['episodes']} test episodes of {record['tasks']}, {_size(setting)}, "
        f"{record['statistics']}. Steps and inner_lr of the baselines: the best of "
        f"{len(grid['steps']) * len(grid['inner_lr'])} on {grid['episodes']} validation episodes."
    )
    if shown := curve_shots(record):
        points = [
            [entry["init"], entry["method"], *curve_row(entry, shown)]
            for entry in record["contestants"]
        ]
        heads = [f"{metric}, {k}-shot" if k == shown[0] else f"{k}-shot" for k in shown]
        click.echo()
        click.echo(table(["init", "method", *heads], points))
        click.echo(
            f"\nThe first {record['curve']['episodes']} episodes of each number of shots; what is "
            f"chosen is chosen at {setting['shots']}."
        )


def _size(setting: dict[str, Any]) -> str:
    ways = f"{setting['ways']}-way " if "ways" in setting else ""
    return f"{ways}{setting['shots']}-shot"
