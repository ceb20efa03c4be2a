"""`edgemeta eval`: measure a run or a bundle on sampled episodes."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from edgemeta.bundle import MANIFEST
from edgemeta.cli._data_options import TasksName, data_options, root_option
from edgemeta.cli._files import check_out
from edgemeta.cli._options import BundlePath, json_option, say_json, threads_option
from edgemeta.cli._reading import Given, choose_reading, note_division, note_reading
from edgemeta.data.options import UNITS, Unit
from edgemeta.data.recorded import Reading, trained_reading
from edgemeta.device.runner import Runner
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Adapter, BundleAdapter, Evaluation, evaluate
from edgemeta.tasks import DataOptions, EpisodeSize, TaskSource, open_tasks
from edgemeta.tasks.fixed_labels import with_labels_called
from edgemeta.tasks.source import SPLITS, Split
from edgemeta.util.files import write_atomically

RUN_CONFIG = "config.toml"
WRONG = ("is neither a run nor a bundle", f"a directory with {RUN_CONFIG} or {MANIFEST}")


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

    \b
    Example:
      edgemeta eval omniglot glyphs --shots 1
    """
    if predictions is not None:
        check_out(predictions)
    runtime, adapter, trained = _open(what, threads)
    shots = trained.shots if shots is None else shots
    tasks, source, reading = _open_tasks(what, tasks, root, Given(by, split_seed, data), trained)
    if adapter.labels:
        source = with_labels_called(source, adapter.labels)
    size = EpisodeSize(adapter.ways or 1 if ways is None else ways, shots, queries)
    if runtime == "torch":
        adapter, source = _on_features(adapter, source, size, episodes)
    with click.progressbar(
        length=episodes, label="episodes", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress:
        found = evaluate(
            adapter,
            source,
            size,
            episodes=episodes,
            seed=seed,
            split=split,
            steps=steps,
            tick=lambda: progress.update(1),
        )
    if predictions is not None:
        _write_predictions(predictions, found)
    score = {"metric": found.metric, "mean": found.mean, "ci95": found.ci95}
    setting = {
        "tasks": tasks,
        "split": split,
        "by": reading.by,
        "split_seed": reading.split_seed,
        "ways": None if adapter.ways is None else size.ways,
        "shots": shots,
        "seed": seed,
        "episodes": episodes,
    }
    if as_json:
        say_json(score | {"runtime": runtime} | setting)
    else:
        click.echo(
            f"{found.metric} {found.mean:.4f} ± {found.ci95:.4f} on {episodes} {split} episodes of "
            f"{tasks} ({runtime})"
        )
    if runtime == "torch":
        from edgemeta.meta.runs.run import Run

        kept = setting | {"tasks": Path(tasks).name, "queries": queries, "steps": steps}
        Run(what).note_evaluation(kept, score)


class _Trained(NamedTuple):
    """How something was trained: the shots, on what, and how that was divided and read."""

    shots: int
    tasks: str
    reading: Reading


def _open(what: Path, threads: int | None) -> tuple[str, Adapter, _Trained]:
    """Return the runtime's name, what adapts, and how it was trained."""
    if (what / MANIFEST).is_file():
        runner = Runner(what, threads=threads)
        told = runner.manifest.trained.config
        trained = _Trained(told.shots or 1, told.tasks, trained_reading(runner.manifest))
        return "onnxruntime", BundleAdapter(runner), trained
    if not (what / RUN_CONFIG).is_file():
        raise InputError(f"{what} {WRONG[0]}", expected=WRONG[1])
    # torch is needed for a run alone: a device evaluates bundles without it.
    from edgemeta.meta.runs.adapter import run_adapter
    from edgemeta.meta.runs.run import Run

    config = Run(what).config()
    reading = Reading(config.by, config.split_seed, config.data)
    trained = _Trained(config.shots, config.tasks, reading)
    return "torch", run_adapter(what, threads=threads), trained


def _on_features(
    adapter: Adapter, source: TaskSource, size: EpisodeSize, episodes: int
) -> tuple[Adapter, TaskSource]:
    """Return a run and a source without what is frozen in front, as far as that pays."""
    from edgemeta.meta.runs.adapter import TorchAdapter

    assert isinstance(adapter, TorchAdapter)  # noqa: S101  # see _open
    return adapter.on_features(source, size, episodes)


def _open_tasks(
    what: Path, tasks: str | None, root: Path | None, given: Given, trained: _Trained
) -> tuple[str, TaskSource, Reading]:
    """Return the name of the tasks to evaluate on, a run's own by default, and the tasks."""
    own = tasks is None
    if tasks is None:
        tasks, root = _own_tasks(what, root)
    chosen = choose_reading(tasks, root, given, trained.reading)
    if not own:
        note_reading(chosen)
    by, seed, options = chosen.reading
    source = open_tasks(tasks, root, by=by, split_seed=seed, options=options)
    if Path(tasks).name == Path(trained.tasks).name:
        note_division(chosen.reading, trained.reading)
    return tasks, source, chosen.reading


def _own_tasks(what: Path, root: Path | None) -> tuple[str, Path | None]:
    """Return the name of a run's own tasks, and where their data lie."""
    if not (what / RUN_CONFIG).is_file():
        raise InputError(f"{what} is a bundle, which holds no data", hint="name the TASKS too")
    from edgemeta.meta.runs.run import Run, check_named

    config = Run(what).config()
    check_named(config)
    return config.tasks, Path(config.root) if root is None and config.root else root


def _write_predictions(path: Path, found: Evaluation) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, predictions=found.predictions)
    write_atomically(path, buffer.getvalue())
