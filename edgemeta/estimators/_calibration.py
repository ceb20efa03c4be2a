"""Probabilities that mean what they say: a temperature, from support samples held out in turn.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017, who divide the logits by one
number that makes held-out samples the most likely. A support set is small, and often all of it is
predicted right, when the likelihood asks for the number 0; so its logarithm is drawn towards 0 as
by a standard normal prior.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.probabilities import log_softmax

MOST_FOLDS = 5
COLDEST, HOTTEST = 0.01, 100.0
ROUNDS = 30  # of the search: each leaves 0.618 of the range, in all less than a millionth
_GOLDEN = (np.sqrt(5) - 1) / 2


def folds(y: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """Divide a support set into parts that show all classes alike.

    Args:
        y: (S,) labels, of each class that is there at least 2.

    Yields:
        (S,) which samples to hold out; each once in all.
    """
    place = np.empty(len(y), np.int64)  # of a sample within its class
    labels, counts = np.unique(y, return_counts=True)
    for label in labels:
        mine = y == label
        place[mine] = np.arange(mine.sum())
    count = min(MOST_FOLDS, int(counts.min()))
    for fold in range(count):
        yield place % count == fold


def find_temperature(logits: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the number to divide logits by, the most likely by held-out samples and the prior.

    Args:
        logits: (n, ways) of held-out samples.
        y: (n,) their labels.
    """

    def cost(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        own = log_softmax(scaled)[np.arange(len(y)), y]
        return float(log_temperature**2 / 2 - own.sum())

    # Golden section search: the cost has a single valley.
    low, high = np.log(COLDEST), np.log(HOTTEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    for _ in range(ROUNDS):
        if cost_left < cost_right:
            high, right, cost_right = right, left, cost_left
            left = high - _GOLDEN * (high - low)
            cost_left = cost(left)
        else:
            low, left, cost_left = left, right, cost_right
            right = low + _GOLDEN * (high - low)
            cost_right = cost(right)
    return float(np.exp((low + high) / 2))
