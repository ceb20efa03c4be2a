"""Whether the samples of a batch see each other in a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]

# Of the largest value: what blocks of another size round differently is 1e-5 in deep networks; a
# maximum over the batch, or a scale that is chosen for it, moves what it touches by 1e-2 and more.
LIMIT = 1e-4
LOUD, QUIET = 10, 1e-4
"""Samples of one level would hide that one of them decides on the level of all: a spectrogram that
is cut off 80 dB below the loudest, say."""


def distance(run: Run, inputs: Sequence[NDArray[Any]]) -> float:
    """Return how far the outputs for samples together are from those for each alone.

    Args:
        run: the graph.
        inputs: what it takes, samples along axis 0.

    Returns:
        The largest difference, relative to an output's largest value; infinite where there is not
        one part of an output for each sample.
    """
    rows = [_varied(x) if x.ndim else x for x in inputs]
    count = max(len(x) for x in rows if x.ndim)
    together = run(rows)
    alone = [run([x[k : k + 1] if x.ndim else x for x in rows]) for k in range(count)]
    return max(_apart(whole, parts) for whole, *parts in zip(together, *alone, strict=True))


def _varied(x: NDArray[Any]) -> NDArray[Any]:
    """(N, *) -> (4, *): two samples, a louder one and a quieter one."""
    first, last = x[0], x[-1]
    if x.dtype.kind == "f":
        rows = [first, last * LOUD, first * QUIET, last]
    else:
        rows = [first, last, np.zeros_like(first), last]
    return np.stack(rows).astype(x.dtype)


def _apart(together: NDArray[Any], alone: Sequence[NDArray[Any]]) -> float:
    sizes = zip(together.shape, alone[0].shape, strict=False)
    axes = [axis for axis, (whole, one) in enumerate(sizes) if whole == one * len(alone)]
    if together.ndim != alone[0].ndim or not axes:
        return float("inf")
    joined = np.concatenate(alone, axes[0]).astype(np.float64)
    if joined.shape != together.shape:
        return float("inf")
    difference = np.abs(np.nan_to_num(joined - together)).max(initial=0)
    return float(difference / max(np.abs(np.nan_to_num(joined)).max(initial=0), 1e-30))
