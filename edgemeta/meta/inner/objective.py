"""The outer objective: what one outer step asks of a batch of tasks, as a number per task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.updates import Rates
from edgemeta.tasks import Episode

TEMPERATURE = 4.0
"""Softens the teacher's predictions, and the student's: at 1 a teacher that is sure of the class
says no more than the label does (Hinton et al. 2015, "Distilling the Knowledge in a Neural
Network", section 2, found 2.5 to 4 best for small students)."""


class Tasks(NamedTuple):
    """The samples of one task, or with a leading axis those of several of the same size.

    Attributes:
        support_x: (S, *input_shape).
        support_y: (S,) int64, or (S, *target_shape).
        query_x: (Q, *input_shape).
        query_y: like support_y.
        teacher: the outputs of a teacher on query_x, or None.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    teacher: Tensor | None = None

    def select(self, which: int | slice) -> Tasks:
        """Return one task of several, or some of them."""
        return Tasks(*(None if t is None else t[which] for t in self))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Tasks:
        """Return the same on a device."""
        return Tasks(*(None if t is None else t.to(device, non_blocking=True) for t in self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ask:
    """What one outer step asks for.

    Attributes:
        steps: inner steps.
        order: of the meta-gradient.
        weights: of the query loss after each inner step, as numbers, or as a tensor (K,) where a
            record is to serve all weights; () for the last one alone.
        distill: the teacher's share of the loss, where the tasks have its outputs.
        checkpointing: keep no activations of an inner step, but compute them again.
    """

    steps: int
    order: Literal[1, 2] = 2
    weights: tuple[float, ...] | Tensor = ()
    distill: float = 0.0
    checkpointing: bool = False

    def weight(self, step: int) -> float | Tensor:
        """Return the weight of the query loss after so many inner steps."""
        if step == 0 or not len(self.weights):
            return float(step == self.steps)
        return self.weights[step - 1]


def stack_episodes(episodes: Sequence[Episode]) -> Tasks:
    """Return episodes of one size, at least one, as tensors with a leading task axis."""
    return Tasks(*(torch.from_numpy(np.stack(parts)) for parts in zip(*episodes, strict=True)))


def query_loss(loop: InnerLoop, init: State, rates: Rates, tasks: Tasks, ask: Ask) -> Tensor:
    """Return the query loss after adapting `init`, differentiable with respect to it.

    MAML's equation 4 (order 2), its first-order approximation (order 1), the weighted sum over
    inner steps of Antoniou et al. 2019, equation 4 (weights), mixed with a teacher's predictions.

    Args:
        loop: the inner loop.
        init: grown to the tasks' classes; with a `StackedLoop` stacked.
        rates: the inner rates.
        tasks: one task; with a `StackedLoop` T of them.
        ask: what counts.

    Returns:
        () or (T,).
    """
    x, y = tasks.support_x, tasks.support_y
    total = torch.zeros((), device=x.device)
    states = loop.trajectory(
        init, x, y, steps=ask.steps, lr=rates, order=ask.order, checkpointing=ask.checkpointing
    )
    for step, state in enumerate(states):
        weight = ask.weight(step)
        if isinstance(weight, Tensor) or weight:
            ready = loop.settled(state, x, y) if step else state
            output = loop.predict(ready, tasks.query_x)
            total = total + weight * _mixed_loss(loop, output, tasks, ask.distill)
    return total


def displacement(
    loop: InnerLoop, init: State, rates: Rates, tasks: Tasks, ask: Ask
) -> tuple[Tensor, Tensor]:
    """Return the loss after adapting, and a number whose gradient is `init - adapted`.

    Reptile's outer gradient (Nichol et al. 2018, algorithm 2). There is no query set: all samples
    of a task adapt, and the loss is theirs.

    Returns:
        The loss, () or (T,), and the number (), both as in `query_loss`.
    """
    x, y = (
        torch.cat(pair, loop.sample_axis)
        for pair in ((tasks.support_x, tasks.query_x), (tasks.support_y, tasks.query_y))
    )
    state = loop.adapt(init, x, y, steps=ask.steps, lr=rates)
    with torch.no_grad():
        loss = loop.loss(loop.predict(state, x), y)
    moved = [(p * (p - state.params[n]).detach()).sum() for n, p in init.params.items()]
    return loss, torch.stack(moved).sum()


def _mixed_loss(loop: InnerLoop, output: Tensor, tasks: Tasks, distill: float) -> Tensor:
    loss = loop.loss(output, tasks.query_y)
    if tasks.teacher is None:
        return loss
    return (1 - distill) * loss + distill * _teacher_loss(loop, output, tasks)


def _teacher_loss(loop: InnerLoop, output: Tensor, tasks: Tasks) -> Tensor:
    """Return how far the outputs are from the teacher's, () or (T,).

    Cross entropy with softened probabilities, times the temperature squared, which gives its
    gradients the size of the labels' (Hinton et al. 2015, section 2); for regression the MSE.
    """
    assert tasks.teacher is not None  # noqa: S101
    if tasks.query_y.is_floating_point():
        error = (output - tasks.teacher) ** 2
        return error.flatten(loop.sample_axis).mean(-1)
    soft = (tasks.teacher / TEMPERATURE).softmax(-1)
    cross = -(soft * (output / TEMPERATURE).log_softmax(-1)).sum(-1)  # (Q,) or (T, Q)
    return cross.mean(-1) * TEMPERATURE**2
