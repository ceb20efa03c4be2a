"""The page: one HTML file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from string import Template

from edgemeta.meta.report import _compared as compared
from edgemeta.meta.report import _episodes as episodes
from edgemeta.meta.report import _figures as figures
from edgemeta.meta.report._markup import counted, estimate, figure, paragraph, section, table, text
from edgemeta.meta.report._measure import Measured, confusion_counts, hardest_pairs, measure
from edgemeta.meta.report._template import PAGE
from edgemeta.meta.runs.adapter import TorchAdapter, run_adapter
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.classes import ClassSource

MOST_PAIRS = 12
MOST_IN_MATRIX = 60  # classes; more are no picture any more
PATHS = ("tasks", "root", "start", "teacher")  # of the config
NAMED = ("algorithm", "model")  # shown whether or not they are defaults


@dataclass(frozen=True)
class Subject:
    """What a page is about.

    Attributes:
        run: the run.
        config: of it.
        adapter: its best checkpoint.
        source: its tasks.
        size: of a test episode.
        episodes: how many are measured here.
        seed: of their stream.
        found: what was measured.
    """

    run: Run
    config: TrainConfig
    adapter: TorchAdapter
    source: TaskSource
    size: EpisodeSize
    episodes: int
    seed: int
    found: Measured

    @property
    def metric(self) -> str:
        """What is measured."""
        return "accuracy" if self.adapter.task == "classification" else "mse"

    @property
    def statistics(self) -> str:
        """Whether a query is predicted without the others."""
        return "inductive" if self.config.inductive else "transductive"


def make_page(
    path: Path | Run,
    *,
    tasks: str | None = None,
    root: Path | None = None,
    episodes: int = 100,
    seed: int = 0,
) -> str:
    """Measure a run on test episodes and describe it.

    Args:
        path: the run's directory, or a run that holds its model or source.
        tasks: where its data lie now, if they have moved.
        root: likewise.
        episodes: of the test part, at least 2.
        seed: of their stream.

    Returns:
        HTML.

    Raises:
        InputError: there is no run, it has no checkpoint yet, or its tasks cannot be opened.

    Example:
        html = make_page(Run(Path("runs/mine"), model=MyNet(), source=source))
    """
    run = path if isinstance(path, Run) else Run(path)
    config = run.config()
    adapter = run_adapter(run)
    source = run.open_tasks(tasks, root)
    size = EpisodeSize(config.ways, config.shots, config.evaluation_queries)
    found = measure(adapter, source, size, episodes=episodes, seed=seed)
    subject = Subject(run, config, adapter, source, size, episodes, seed, found)
    name = run.path.resolve().name
    return Template(PAGE).substitute(
        title=text(f"{name} - edgemeta"),
        heading=text(f"Run {name}"),
        body="\n".join(
            (
                _result(subject),
                _config(config),
                _training(subject),
                _steps(subject),
                _errors(subject),
                _shown(subject),
                compared.recipe(run),
                compared.baselines(run),
                compared.evaluations(run),
            )
        ),
    )


def _result(subject: Subject) -> str:
    result = subject.run.result()
    if result is None:
        lead = "The training has not ended, so there is no test result yet; what follows is about "
        return section("Result", paragraph(lead + "the best checkpoint so far."))
    trained = subject.config
    kind = f"{trained.ways}-way " if subject.adapter.ways is not None else ""
    big = f"{result['metric']} {estimate(result)}"
    return section(
        "Result",
        f'<p class="result">{text(big)}</p>',
        paragraph(
            f"Mean and 95 % confidence interval over {result['episodes']} {result['split']} "
            f"episodes of {_name(trained.tasks)}, {kind}{result['shots']}-shot, "
            f"{counted(result['inner_steps'], 'inner step')}. Of {result['iterations']} outer "
            f"steps, the checkpoint after {result['best_iteration']} validated best."
        ),
        paragraph(_ABOUT_STATISTICS[result["statistics"]]),
    )


_ABOUT_STATISTICS = {
    "inductive": "Inductive: each query is predicted without knowing the others, as on a device.",
    "transductive": "Transductive: the queries of a task are predicted together and help each "
    "other, which a device that predicts one sample at a time cannot have.",
}


def _config(config: TrainConfig) -> str:
    changed, same = [], []
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in PATHS:  # a page may be shown to others: names, not where things lie
            if value:
                changed.append((field.name, _name(value), "-"))
        elif value != field.default or field.name in NAMED:
            changed.append((field.name, _option(value), _option(field.default)))
        else:
            same.append((field.name, _option(value)))
    return section(
        "What was trained",
        table("Options that differ from the defaults", ("option", "value", "default"), changed),
        f"<details><summary>{len(same)} options have their defaults</summary>",
        table("Options that have their defaults", ("option", "value"), same),
        "</details>",
    )


def _training(subject: Subject) -> str:
    metrics = subject.run.metrics()
    if not metrics:
        return section("Training", paragraph("No validation yet."))
    result = subject.run.result()
    best = None if result is None else result["best_iteration"]
    caption = "The outer loss and the validation with its 95 % confidence band." + (
        "" if best is None else f" Dotted: the best checkpoint, after {best} outer steps."
    )
    return section("Training", figure(figures.curves(metrics, best), caption))


def _steps(subject: Subject) -> str:
    found, steps = subject.found.by_step, subject.adapter.inner_steps
    rows = [(str(n), estimate(each._asdict())) for n, each in found.items()]
    named = {"accuracy": "Accuracy", "mse": "Mean squared error"}[subject.metric]
    return section(
        f"{named} by inner step",
        figure(
            figures.by_step(found, subject.metric, steps),
            f"{subject.episodes} test episodes, {subject.statistics}, with 95 % confidence band. "
            f"Dotted: the number of steps in training, {steps}.",
        ),
        "<details><summary>The same in numbers</summary>",
        table("Test figures by inner step", ("inner steps", subject.metric), rows),
        "</details>",
    )


def _errors(subject: Subject) -> str:
    source, found = subject.source, subject.found
    if not isinstance(source, ClassSource):
        return ""
    parts = []
    names = {c: source.class_name(c) for pair in found.together for c in pair}
    if source.unit == "subject":
        ids, counts = confusion_counts(found)
        if len(ids) <= MOST_IN_MATRIX:
            called = [names[c] or str(c) for c in ids]
            caption = f"Shares in % of the queries of a class, {subject.episodes} test episodes."
            parts.append(figure(figures.confusion(counts, called), caption))
    elif None in names.values():
        return section(
            "Errors",
            paragraph(
                "A label means another class in each task, and the classes of these tasks have no "
                "names: neither a confusion matrix nor a list of hard pairs would say anything."
            ),
        )
    else:
        parts.append(
            paragraph(
                "A label means another class in each task, so instead of a confusion matrix these "
                "are the pairs of classes that are taken for one another most often."
            )
        )
    pairs = hardest_pairs(found, MOST_PAIRS)
    rows = [(names[a], names[b], f"{errors} of {asked}") for a, b, errors, asked in pairs]
    caption = "Queries of either class that were taken for the other, in tasks that had both"
    parts.append(
        table(caption, ("class", "other", "errors"), rows)
        if rows
        else paragraph("No query was classified wrongly.")
    )
    return section("Errors", *parts)


def _shown(subject: Subject) -> str:
    source, found = subject.source, subject.found
    if not isinstance(source, ClassSource):
        return section("Sample episodes", episodes.regressed(subject.adapter, found))
    names = []
    for index in range(len(found.shown)):
        ids = source.episode_classes("test", subject.size, subject.seed, index)
        names.append([source.class_name(c) or f"class {k}" for k, c in enumerate(ids.tolist())])
    shown = episodes.classified(found, names, subject.adapter.inner_steps)
    return section("Sample episodes", shown)


def _name(tasks: str) -> str:
    return Path(tasks).name


def _option(value: object) -> str:
    """Return an option's value for a table."""
    if is_dataclass(value):
        own = ((field.name, getattr(value, field.name), field.default) for field in fields(value))
        return ", ".join(f"{name} {_option(v)}" for name, v, default in own if v != default) or "-"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "-"
    return "-" if value == "" else str(value)
