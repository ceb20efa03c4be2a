"""How familiar a sample is: as much as those that a class was learned from, or like none of them?

A probability says which class a sample is of, given that it is of one. Far from all of them it may
well be 1. So what counts here is how far the winning class is above the *spare* class, which was
adapted to without samples and says what a class would get that a sample is not of
(`edgemeta.estimators._merging`); in proportion to how far above it is on its own support samples,
so that the number of classes and of samples matters little. A head of fixed width has no spare
class: there it is the mean of all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def familiarity(
    logits: NDArray[np.float64], reference: NDArray[np.float64], own: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how familiar samples are, (Q,); 1 is as familiar as the support samples.

    Args:
        logits: (Q, C) of the classes.
        reference: (Q,) what to compare them with.
        own: (C,) what `mean_lead` returned.

    Example:
        >>> import numpy as np
        >>> logits, own = np.array([[3.0, 1.0], [1.0, 1.5]]), np.array([2, 2], np.float32)
        >>> familiarity(logits, np.array([1.0, 1.0]), own).tolist()
        [1.0, 0.25]
    """
    lead = logits.max(1) - reference
    scale = own[logits.argmax(1)]
    # A class without samples, or one that its own samples do not win, is familiar with nothing.
    return np.where(scale > 0, lead / np.where(scale > 0, scale, 1), 0.0)


def with_reference(
    logits: NDArray[np.float32], classes: int, spare: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits (Q, C) of the classes, and what to compare them with (Q,).

    Args:
        logits: (Q, W) of the whole head.
        classes: C that were learned, the first of the head.
        spare: whether the next one is the spare class of a shared head.
    """
    exact = logits.astype(np.float64)
    return exact[:, :classes], exact[:, classes] if spare else exact.mean(1)


def mean_lead(
    logits: NDArray[np.float64], reference: NDArray[np.float64], y: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return how far each class's samples are above the reference, (C,); 0 without samples.

    Args:
        logits: (S, C) of the support samples.
        reference: (S,) what to compare them with.
        y: (S,) their labels.
    """
    classes = logits.shape[1]
    lead = logits[np.arange(len(y)), y] - reference
    sums = np.bincount(y, weights=lead, minlength=classes)
    return (sums / np.maximum(np.bincount(y, minlength=classes), 1)).astype(np.float32)
