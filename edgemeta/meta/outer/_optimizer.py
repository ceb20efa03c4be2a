"""The outer optimizer and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from edgemeta.meta.runs.algorithms import Schedule
from edgemeta.meta.runs.config import TrainConfig


def make_optimizer(
    config: TrainConfig, weights: Iterable[Tensor], rates: Iterable[Tensor] = ()
) -> torch.optim.Optimizer:
    """Return torch's own optimizer for what the outer loop moves.

    Learned inner rates move in proportion to where they started: Adam takes steps of about the
    outer rate whatever a tensor's size, and 0.001 is a tenth of an inner rate of 0.01. They do not
    decay either, since zero is no rate to prefer.

    Args:
        config: of the training.
        weights: of the model.
        rates: learned inner rates, if any.
    """
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    groups: list[dict[str, Any]] = [
        {"params": list(weights), "weight_decay": config.weight_decay, "scale": 1.0},
        {"params": list(rates), "weight_decay": 0.0, "scale": config.inner_lr},
    ]
    return kinds[config.optimizer]([g for g in groups if g["params"]], lr=config.meta_lr)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let an optimizer of `make_optimizer` take its next step at an outer learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def scheduled_lr(config: TrainConfig, iteration: int) -> float:
    """Return the outer learning rate of an outer step."""
    return config.meta_lr * falling(config.schedule, iteration / config.iterations)


def falling(schedule: Schedule, progress: float) -> float:
    """Return the share of the rate that is left after `progress` (0..1) of the training."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0 if schedule == "constant" else 1 - progress
