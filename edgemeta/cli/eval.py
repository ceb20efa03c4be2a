"""`edgemeta eval`: measure a run or a bundle on sampled episodes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from edgemeta.cli._data_options import TasksName, data_options, root_option
from edgemeta.cli._evaluated import WRONG, Evaluated
from edgemeta.cli._files import check_out
from edgemeta.cli._options import BundlePath, json_option, say_json, threads_option
from edgemeta.cli._reading import Given
from edgemeta.data.options import UNITS, DataOptions, Unit
from edgemeta.measure.evaluate import Evaluation, evaluate, plus_minus
from edgemeta.measure.unknown import UnknownEvaluation, evaluate_unknown
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks.source import SPLITS, Split
from edgemeta.util.files import write_atomically


@click.command("eval")
@click.argument("what", metavar="RUN|BUNDLE", type=BundlePath(*WRONG))
@click.argument("tasks", required=False, type=TasksName())
@root_option
@click.option(
    "--by",
    type=click.Choice(UNITS),
    help="Your own data: what is new at test time. [default: as trained]",
)
@click.option(
    "--split-seed",
    type=click.IntRange(min=0),
    help="Your own data: decides the parts that the data does not name. [default: as trained]",
)
@click.option("--episodes", default=600, show_default=True, help="How many.")
@click.option("--shots", type=int, help="Support samples per class. [default: as trained]")
@click.option("--ways", type=int, help="Classes per episode. [default: as trained]")
@click.option("--queries", default=15, show_default=True, help="Query samples per class.")
@click.option("--steps", type=int, help="Inner steps. [default: the model's]")
@click.option("--seed", default=0, show_default=True, help="Of the episodes.")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    default="test",
    show_default=True,
    help="The part that the episodes are drawn from.",
)
@click.option(
    "--unknown",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also ask about N further classes per episode that were not learned.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Write the prediction of every query to this .npz.",
)
@data_options
@threads_option
@json_option
def eval_(
    what: Path,
    tasks: str | None,
    root: Path | None,
    by: Unit | None,
    split_seed: int | None,
    episodes: int,
    shots: int | None,
    ways: int | None,
    queries: int,
    steps: int | None,
    seed: int,
    split: Split,
    unknown: int | None,
    predictions: Path | None,
    data: DataOptions,
    threads: int | None,
    as_json: bool,
) -> None:
    """Adapt to sampled episodes of TASKS and report the mean ± 95 % confidence interval.

    A RUN is evaluated on PyTorch, a BUNDLE on onnxruntime; the same options give both the same
    episodes. For regression, --shots and --queries are total numbers of samples. Without TASKS, a
    RUN is evaluated on its own training data. Data is divided and read as in training; each option
    that you pass replaces the training's. Results of a RUN are stored in it, and `edgemeta report`
    shows them.

    --unknown measures how well samples of other classes are rejected: the area under the ROC curve,
    and the share of known samples that are accepted and right where 1 % and 5 % of the unknown ones
    are accepted, too. "reject below" is the threshold for FewShotClassifier(reject=...).

    \b
    Example:
      edgemeta eval omniglot glyphs --shots 1
    """
    if predictions is not None:
        check_out(predictions)
    evaluated = Evaluated.opened(what, threads)
    trained_ways = evaluated.adapter.ways
    tasks, source, reading = evaluated.open_tasks(tasks, root, Given(by, split_seed, data))
    size = EpisodeSize(
        trained_ways or 1 if ways is None else ways,
        evaluated.shots if shots is None else shots,
        queries,
    )
    adapter, source = evaluated.on_features(source, size, episodes)
    with click.progressbar(
        length=episodes if unknown is None else 2 * episodes,
        label="episodes",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as progress:
        told: dict[str, Any] = {
            "episodes": episodes,
            "seed": seed,
            "split": split,
            "steps": steps,
            "tick": lambda: progress.update(1),
        }
        found = evaluate(adapter, source, size, **told)
        among = None
        if unknown is not None:
            among = evaluate_unknown(adapter, source, size, classes=unknown, **told)
    if predictions is not None:
        _write_predictions(predictions, found)
    score: dict[str, Any] = {"metric": found.metric, "mean": found.mean, "ci95": found.ci95}
    setting: dict[str, Any] = {
        "tasks": tasks,
        "split": split,
        "by": reading.by,
        "split_seed": reading.split_seed,
        "ways": None if trained_ways is None else size.ways,
        "shots": size.shots,
        "seed": seed,
        "episodes": episodes,
    }
    if among is not None:
        score["unknown"] = among.record()
    if as_json:
        say_json(score | {"runtime": evaluated.runtime} | setting)
    else:
        click.echo(
            f"{found.metric} {found.mean:.4f} ± {found.ci95:.4f} on {episodes} {split} episodes of "
            f"{tasks} ({evaluated.runtime})"
        )
        if among is not None:
            click.echo(_unknown_line(among))
    if among is not None:
        setting["unknown"] = unknown
    kept = setting | {"tasks": Path(tasks).name, "queries": queries, "steps": steps}
    evaluated.note(kept, score)


def _unknown_line(found: UnknownEvaluation) -> str:
    at = ", ".join(
        f"{plus_minus(each.mean, each.ci95)} at {100 * each.false_alarms:.0f} % false alarms "
        f"(reject below {each.threshold:.3g})"
        for each in found.at
    )
    return (
        f"with {found.classes} unknown classes: area under the ROC curve {found.area:.4f}; "
        f"accepted and right {at}"
    )


def _write_predictions(path: Path, found: Evaluation) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, predictions=found.predictions)
    write_atomically(path, buffer.getvalue())
