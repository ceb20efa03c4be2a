"""The supervised baseline of a run: what the same budget reaches without meta-learning."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from math import ceil
from pathlib import Path
from typing import Any

from edgemeta.errors import InputError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.algorithms import PRESETS
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run, Trained
from edgemeta.tasks.source import TaskKind

OF_META_LEARNING = (
    *("algorithm", "adapt", "order", "first_order_share", "rates", "update", "momentum"),
    *("objective", "multi_step_share", "start", "teacher", "distill"),
    *("inner_steps", "inner_lr"),
)
OF_THE_OUTER_LOOP = ("meta_lr", "optimizer", "weight_decay", "schedule")


def supervised_config(config: TrainConfig, kind: TaskKind, iterations: int | None) -> TrainConfig:
    """Return the config of the supervised baseline of a meta-learned run.

    Args:
        config: of the run.
        kind: of its tasks.
        iterations: outer steps; None for as many as show the samples of the run, and of those that
            it started from.
    """
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    # Reptile's outer rate of 1 is for displacements, not for gradients.
    strange = OF_THE_OUTER_LOOP if config.objective == "displacement" else ()
    plain: dict[str, Any] = {name: defaults[name] for name in (*OF_META_LEARNING, *strange)}
    if kind == "classification":
        plain |= PRESETS["pretrain"] | {"algorithm": "pretrain"}
    else:  # all samples of a task count in the loss, but the one that a support set needs
        queries = config.shots + config.queries - 1
        plain |= {"inner_steps": 0, "shots": 1, "queries": max(queries, 1)}
    plain["iterations"] = _iterations(config) if iterations is None else iterations
    return replace(config, **plain)


def is_pretraining(config: TrainConfig) -> bool:
    """Whether a run is itself what `supervised_config` describes: it has no meta-learning."""
    return config.objective == "classes" or config.inner_steps == 0


def _iterations(config: TrainConfig) -> int:
    """Return the outer steps of a run, and as many as show the samples of the run it started at."""
    before = Run(Path(config.start))
    if not config.start or not before.config_path.exists():
        return config.iterations
    theirs = before.config()
    return config.iterations + ceil(_iterations(theirs) * _samples(theirs) / _samples(config))


def _samples(config: TrainConfig) -> int:
    """Return how many samples an outer step shows."""
    return config.meta_batch * config.ways * (config.shots + config.queries)


def supervised_baseline(config: TrainConfig, run: Run) -> Trained:
    """Return the best checkpoint of a supervised baseline, which is trained to its end first.

    Args:
        config: what `supervised_config` made.
        run: where it lies, or will.

    Raises:
        InputError: another pre-training lies there.
    """
    there = run.config_path.exists()
    if there and run.config() != config:
        raise InputError(
            f"{run.path} holds another pre-training",
            got=_difference(run.config(), config),
            hint="give the same --pretrain-iterations, or remove the directory",
        )
    if run.result() is None:
        Trainer(config, run.path, resume=there, model=run.model, source=run.source).train()
    return run.best()


def _difference(old: TrainConfig, new: TrainConfig) -> str:
    before, after = asdict(old), asdict(new)
    changed = [name for name in before if before[name] != after[name]]
    return ", ".join(f"{name} {before[name]}, not {after[name]}" for name in changed)
