"""What a training came to, as its run and its bundle record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgemeta.bundle import TrainingResult
from edgemeta.measure.evaluate import Evaluation
from edgemeta.meta.runs.building import head_ways
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig


def training_result(
    config: TrainConfig,
    best: Checkpoint,
    iterations: int,
    preprocessing: Mapping[str, Any],
    found: Evaluation | None,
) -> dict[str, Any]:
    """Return the record of a training that has ended; see `edgemeta.bundle.TrainingResult`.

    Args:
        config: of the run.
        best: the checkpoint that was kept.
        iterations: outer steps that were taken.
        preprocessing: of the tasks.
        found: what the test part said of it; None where it was not asked.
    """
    tested = {}
    if found is not None:
        tested = {
            "metric": found.metric,
            "mean": found.mean,
            "ci95": found.ci95,
            "episodes": found.episodes,
            "split": "test",
        }
    result = TrainingResult(
        tasks=config.tasks,
        **tested,  # type: ignore[arg-type]
        ways=head_ways(config, best.statistics),
        shots=config.shots,
        inner_steps=config.inner_steps,
        statistics="inductive" if config.inductive else "transductive",
        iterations=iterations,
        best_iteration=best.best_iteration,
        validation=best.validation,
        preprocessing=preprocessing,
    )
    return asdict(result)
