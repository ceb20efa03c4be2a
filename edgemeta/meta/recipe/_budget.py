"""How many outer steps fit into the minutes that a user gives."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgemeta.bundle import TensorSpec
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource

WARM_UP, TIMED = 2, 4  # outer steps
LEAST = 20  # steps of a training, whatever the minutes


def seconds_per_step(config: TrainConfig, source: TaskSource | None) -> float:
    """Measure an outer step of a training that is not begun; nothing is written.

    Args:
        config: of the training.
        source: where it is not what the config names.
    """
    with TemporaryDirectory() as folder:  # a trainer writes nothing before it trains
        trainer = Trainer(config, Path(folder) / "run", source=source)
        taken = []
        for step in range(WARM_UP + TIMED):
            began = time.perf_counter()
            trainer.outer_step()
            if step >= WARM_UP:
                taken.append(time.perf_counter() - began)
        trainer.close()
    return min(taken)


def steps_within(seconds: float, per_step: float, most: int) -> int:
    """Return how many steps fit, rounded down to two digits, so that a busy moment matters less.

    Args:
        seconds: that there are.
        per_step: that a step takes.
        most: steps, however long there is.
    """
    fit = int(seconds / per_step)
    if fit >= most:
        return most
    unit = int(10 ** max(len(str(fit)) - 2, 0))
    return max(fit // unit * unit, LEAST)


def flops_of(module: nn.Module, input: TensorSpec) -> int:
    """Return the floating-point operations of the products in a forward of one sample."""
    x = torch.zeros((1, *input.shape), dtype=getattr(torch, input.dtype))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(x)
    return int(counter.get_total_flops())
