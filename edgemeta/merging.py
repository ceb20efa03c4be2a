"""Learning again without the samples of before, and without forgetting them.

To go on from an adapted state with new samples only would drive the state to where every sample is
of a new class. Instead, the new samples are adapted to apart, from the init as those before, and
the two states are averaged, each with the weight of its samples (as federated averaging does:
McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017).

One gradient step is a sum over samples. Where that is all, and in a head that is linear, the
average is the state that all samples together would have led to, but for a shift that all classes
share and the softmax ignores. Over several steps it is an approximation.

To that end a shared head is always adapted to one class more than there are: the spare one, which
has no samples. A class that comes later starts from its row, with what all samples before say of a
class that they are not of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.guard import check_finite
from edgemeta.runner import Learner, Runner


def adapt(
    runner: Runner,
    x: NDArray[Any],
    y: NDArray[Any],
    classes: int | None,
    steps: int | None,
    lr_scale: float,
) -> Learner:
    """Adapt the init to samples of some classes, and of a shared head to the spare class too.

    Args:
        runner: of the bundle.
        x: (S, *input_shape) samples.
        y: (S,) int64 labels, or (S, *target_shape) targets.
        classes: how many there are; None for regression.
        steps: inner steps; None for the bundle's number.
        lr_scale: multiplies the inner learning rate.

    Raises:
        InputError: something does not fit the bundle.
        AdaptationError: what came of it is not finite.
    """
    ways = None if classes is None or not runner.manifest.any_ways else classes + 1
    learner = runner.adapt(x, y, steps=steps, lr_scale=lr_scale, ways=ways, guard=False)
    # The loss may rise: that of a few samples, most of one class, does so where the average of all
    # is right in the end.
    if len(learner.losses) > 1:
        check_finite(runner.init, learner)
    return learner


def merge(runner: Runner, old: Learner, weight: int, new: Learner, new_weight: int) -> Learner:
    """Average two learners that were adapted apart.

    Args:
        runner: of the bundle.
        old: the one of before.
        weight: of how many samples it is.
        new: the other; in a shared head it has at least as many classes, which begin with the old.
        new_weight: of how many samples it is.
    """
    before, after = old.state_dict(), new.state_dict()
    share = np.float32(new_weight / (weight + new_weight))
    for tensor in runner.manifest.state:
        value = before[tensor.name]
        if tensor.per_class:  # (old ways, ...) -> (new ways, ...): what is new has been the spare
            more = len(after[tensor.name]) - len(value)
            value = np.concatenate([value, value[-1:].repeat(more, 0)])
        after[tensor.name] = value + share * (after[tensor.name] - value)
    return Learner(runner, after, new.losses, new.ways)


def without(runner: Runner, learner: Learner, row: int) -> Learner:
    """Return a learner that lacks a class of a shared head: its row is gone.

    What the rest of the network adapted to stays as it is.
    """
    state = learner.state_dict()
    for tensor in runner.manifest.state:
        if tensor.per_class:
            state[tensor.name] = np.delete(state[tensor.name], row, 0)
    return Learner(runner, state, learner.losses, learner.ways and learner.ways - 1)


def spare_rows(runner: Runner, learner: Learner) -> dict[str, NDArray[Any]]:
    """Return the spare class's row (1, ...) of each tensor of a shared head; else nothing."""
    state = learner.state_dict()
    return {t.name: state[t.name][-1:] for t in runner.manifest.state if t.per_class}


def with_spare(runner: Runner, learner: Learner, rows: dict[str, NDArray[Any]]) -> Learner:
    """Return a learner with the spare class again; the opposite of leaving it out."""
    state = learner.state_dict()
    for name, row in rows.items():
        state[name] = np.concatenate([state[name], row])
    return Learner(runner, state, learner.losses, learner.ways and learner.ways + bool(rows))
