"""How familiar a sample is: as much as those that a class was learned from, or like none of them?

A probability says which class a sample is of, given that it is of one. Far from all of them it may
well be 1. So what counts here is how far the winning class is above the *spare* class, which was
adapted to without samples and says what a class would get that a sample is not of (`merging`); in
proportion to how far above it is on its own support samples, so that the number of classes and of
samples matters little. A head of fixed width has no spare class: there it is the mean of all.

Where a bundle names its classes, those without samples are predicted, too: how far they are above
the mean is taken to be what it is for the others on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.runner import Learner, Runner


def familiarity(
    logits: NDArray[np.float64], reference: NDArray[np.float64], own: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how familiar samples are, (Q,); 1 is as familiar as the support samples.

    Args:
        logits: (Q, C) of the classes.
        reference: (Q,) what to compare them with.
        own: (C,) what `own_lead` returned.
    """
    lead = logits.max(1) - reference
    scale = own[logits.argmax(1)]
    # A class without samples, or one that its own samples do not win, is familiar with nothing.
    return np.where(scale > 0, lead / np.where(scale > 0, scale, 1), 0.0)


def for_all(lead: NDArray[np.float32], samples: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return leads (C,) in which classes without samples have the mean of the others.

    Args:
        lead: (C,) what `own_lead` returned.
        samples: (C,) of each class; of one of them there are some.
    """
    mean = lead[samples > 0].astype(np.float64).mean()
    return np.where(samples > 0, lead, np.float32(mean))


def compared(
    runner: Runner, learner: Learner, x: NDArray[Any], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits (Q, C), and what to compare them with (Q,).

    That is the spare class's logit, or where there is none the mean over a head of fixed width.
    """
    logits = learner.predict_logits(x).astype(np.float64)
    reference = logits[:, classes] if runner.manifest.any_ways else logits.mean(1)
    return logits[:, :classes], reference


def own_lead(
    runner: Runner, learner: Learner, x: NDArray[Any], y: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Return how far each class's samples are above the reference, (C,); 0 without samples."""
    logits, reference = compared(runner, learner, x, classes)
    lead = logits[np.arange(len(y)), y] - reference
    counts = np.bincount(y, minlength=classes)
    sums = np.bincount(y, weights=lead, minlength=classes)
    return (sums / np.maximum(counts, 1)).astype(np.float32)
