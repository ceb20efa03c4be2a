"""How far results are from PyTorch, in shares of what a bundle's tolerance allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgemeta.meta.inner.loop import State
from edgemeta_export.recorded_episode import ATOL, RTOL

Tensors = dict[str, NDArray[np.float32]]


def excess(got: Tensors, want: Tensors) -> float:
    """The largest difference in any tensor, as a share of what a bundle's tolerance allows."""
    assert {n: t.shape for n, t in got.items()} == {n: t.shape for n, t in want.items()}
    return max(
        float(np.abs(got[n] - want[n]).max() / (ATOL + RTOL * np.abs(want[n]).max())) for n in want
    )


def assert_most(excesses: list[float]) -> None:
    """At least two of three episodes agree.

    ReLU and max-pooling have kinks: in about one episode of fifty some activation lies within
    rounding of one, both runtimes are right, and their gradients part. A wrong graph is wrong on
    every episode.
    """
    assert len(excesses) == 3
    assert sorted(excesses)[1] <= 1, excesses


def numpy_state(state: State) -> Tensors:
    """The tensors that a bundle keeps, by torch name."""
    return {n: t.detach().numpy() for n, t in (state.params | state.buffers).items()}
