"""Logits to probabilities, and to their logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities (n, ways) that logits (n, ways) stand for, in their dtype."""
    exp = np.exp(logits - logits.max(1, keepdims=True))
    probabilities: NDArray[Any] = exp / exp.sum(1, keepdims=True)
    return probabilities


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities (n, ways) that logits (n, ways) stand for."""
    logits = logits - logits.max(1, keepdims=True)
    found: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return found
