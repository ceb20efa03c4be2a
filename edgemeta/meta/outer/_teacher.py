"""A run whose predictions a training learns, beside its own loss."""

from __future__ import annotations

from pathlib import Path

import torch

from edgemeta.errors import InputError
from edgemeta.meta.runs.adapter import TorchAdapter, run_adapter
from edgemeta.meta.runs.checkpoint import DataStatistics
from edgemeta.meta.runs.config import TrainConfig


def teacher_of(
    config: TrainConfig, statistics: DataStatistics, device: torch.device
) -> TorchAdapter:
    """Return the teacher that a config names.

    Args:
        config: of the training.
        statistics: of its data.
        device: where to compute.

    Raises:
        InputError: there is no such run, or its labels mean something else.
    """
    teacher = run_adapter(Path(config.teacher), config.cores, device)
    if teacher.labels != statistics.labels:
        raise InputError(
            "the labels of the teacher do not mean what those of this training do",
            got=", ".join(teacher.labels) or "shuffled labels",
            expected=", ".join(statistics.labels) or "shuffled labels",
            hint="train both with the same --labels, on the same classes",
        )
    return teacher
