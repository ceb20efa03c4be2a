"""Learning again without the samples of before, and without forgetting them.

To go on from an adapted state with new samples only would drive the state to where every sample is
of a new class. Instead, the new samples are adapted to apart, from the init as those before, and
the two states are averaged (as federated averaging does: McMahan et al., "Communication-Efficient
Learning of Deep Networks from Decentralized Data", 2017).

A shared head is always adapted to one class more than there are: the spare one, which has no
samples. One gradient step from the init moves the row of class k, and the spare row, to

    row_k = spare + d_k,    d_k = rate / C * (mean over the samples of class k of their features)
    spare = init - (d_1 + ... + d_C) / (C + 1)

with C classes that have samples, since the loss is a mean over classes, and the gradient of a
softmax adds up to zero over them. So d_k * C is a mean over samples, and those of two states
average with the weights of their samples of that class: what comes of it is the state that all
samples together would have led to. Over several steps it is an approximation, as it is in the rest
of the network, which is averaged with one weight for all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.guard import check_finite
from edgemeta.device.runner import Learner, Runner


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


def merge(
    runner: Runner,
    old: Learner,
    samples: NDArray[np.int64],
    new: Learner,
    new_samples: NDArray[np.int64],
) -> Learner:
    """Average two learners that were adapted apart.

    Args:
        runner: of the bundle.
        old: the one of before.
        samples: (C,) that it is of, by class.
        new: the other, whose first classes are those of the old.
        new_samples: (C + more,) that it is of, by class.
    """
    before, after, init = (each.state_dict() for each in (old, new, runner.init))
    samples = np.pad(samples, (0, len(new_samples) - len(samples)))
    total = samples + new_samples
    shares = new_samples / np.maximum(total, 1)  # (C + more,) of the new samples, by class
    old_classes, new_classes, classes = (np.sum(n > 0) for n in (samples, new_samples, total))
    share = np.float32(np.sum(shares) / classes)
    for tensor in runner.manifest.state:
        name, value = tensor.name, before[tensor.name]
        if not tensor.per_class:
            after[name] = value + share * (after[name] - value)
            continue
        leads = [_leads(rows, len(total)) for rows in (value, after[name])]
        weights = [(1 - shares) * (old_classes / classes), shares * (new_classes / classes)]
        parts = [_times(lead, weight) for lead, weight in zip(leads, weights, strict=True)]
        after[name] = _rows(init[name], parts[0] + parts[1])
    return new._with_state(after, new.losses, new.ways)


def forgotten(runner: Runner, learner: Learner, row: int, scale: float) -> Learner:
    """Return a learner that never had a class of a shared head, whose row is gone.

    What the rest of the network adapted to stays as it is.

    Args:
        runner: of the bundle.
        learner: with the spare class.
        row: of the class.
        scale: what the leads of the other classes grow by: C / (C - 1) if it is one of C that have
            samples, as each of those left counts for more then.
    """
    state, init = learner.state_dict(), runner.init.state_dict()
    for name in (tensor.name for tensor in runner.manifest.state if tensor.per_class):
        rows = np.delete(state[name], row, 0)
        state[name] = _rows(init[name], _leads(rows, len(rows) - 1) * np.float32(scale))
    return learner._with_state(state, learner.losses, learner.ways and learner.ways - 1)


def without_spare(runner: Runner, learner: Learner) -> Learner:
    """Return a learner without the spare class of a shared head; others as they are."""
    state = learner.state_dict()
    per_class = [tensor.name for tensor in runner.manifest.state if tensor.per_class]
    state |= {name: state[name][:-1] for name in per_class}
    return learner._with_state(
        state, learner.losses, learner.ways and learner.ways - bool(per_class)
    )


def _leads(rows: NDArray[Any], classes: int) -> NDArray[Any]:
    """Return how far rows (C + 1, ...) are from the last, the spare one; 0 for further classes."""
    lead = rows[:-1] - rows[-1]
    return np.concatenate([lead, np.zeros((classes - len(lead), *lead.shape[1:]), lead.dtype)])


def _rows(init: NDArray[Any], leads: NDArray[Any]) -> NDArray[Any]:
    """Return rows (C + 1, ...) with `_leads` (C, ...), from the one row (1, ...) of the init."""
    spare = init - leads.sum(0, keepdims=True) / np.float32(len(leads) + 1)
    return np.concatenate([spare + leads, spare])


def _times(rows: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[Any]:
    """Return rows (C, ...) times weights (C,), in their own dtype."""
    found: NDArray[Any] = rows * weights.astype(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
    return found


def spare_rows(runner: Runner, learner: Learner) -> dict[str, NDArray[Any]]:
    """Return the spare class's row (1, ...) of each tensor of a shared head; else nothing."""
    state = learner.state_dict()
    return {t.name: state[t.name][-1:] for t in runner.manifest.state if t.per_class}


def with_spare(runner: Runner, learner: Learner, rows: dict[str, NDArray[Any]]) -> Learner:
    """Return a learner with the spare class again; the opposite of leaving it out."""
    state = learner.state_dict()
    for name, row in rows.items():
        state[name] = np.concatenate([state[name], row])
    return learner._with_state(state, learner.losses, learner.ways and learner.ways + bool(rows))
