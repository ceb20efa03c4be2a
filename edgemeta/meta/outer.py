"""The outer optimizer and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from edgemeta.meta.algorithms import Schedule
from edgemeta.meta.config import TrainConfig


def make_optimizer(config: TrainConfig, leaves: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Return torch's own optimizer for what the outer loop moves."""
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    return kinds[config.optimizer](leaves, lr=config.meta_lr, weight_decay=config.weight_decay)


def scheduled_lr(config: TrainConfig, iteration: int) -> float:
    """Return the outer learning rate of an outer step."""
    return config.meta_lr * falling(config.schedule, iteration / config.iterations)


def falling(schedule: Schedule, progress: float) -> float:
    """Return the share of the rate that is left after `progress` (0..1) of the training."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0 if schedule == "constant" else 1 - progress
