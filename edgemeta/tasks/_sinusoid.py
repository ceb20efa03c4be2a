"""Sine waves: the regression tasks of the MAML paper."""

from __future__ import annotations

import numpy as np

from edgemeta.tasks.source import Episode, EpisodeSize, Split, TaskKind, TaskSource

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, np.pi)
INPUT = (-5.0, 5.0)


class SinusoidSource(TaskSource):
    """Regress one sine wave from a few of its points.

    y = amplitude * sin(x - phase), with amplitude ~ U[0.1, 5], phase ~ U[0, pi] and
    x ~ U[-5, 5] for every task anew. The family is continuous, so the three parts are independent
    streams of tasks from the same distribution, as in the paper: no two episodes share a wave.

    Source: Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep
    Networks", ICML 2017, section 5.1. The paper states the ranges; that the phase is subtracted is
    the convention of the authors' code (cbfinn/maml, data_generator.py).
    """

    name = "sinusoid"
    kind: TaskKind = "regression"
    input_shape = (1,)
    input_dtype = np.dtype(np.float32)
    target_shape = (1,)

    def sample(self, split: Split, size: EpisodeSize, rng: np.random.Generator) -> Episode:
        """Draw one wave and `shots` + `queries` points of it; `ways` does not apply.

        Returns:
            support_x and support_y (shots, 1), query_x and query_y (queries, 1), all float32.
        """
        amplitude, phase = rng.uniform(*AMPLITUDE), rng.uniform(*PHASE)
        x = rng.uniform(*INPUT, size=(size.shots + size.queries, 1)).astype(np.float32)
        y = (amplitude * np.sin(x - phase)).astype(np.float32)
        return Episode(x[: size.shots], y[: size.shots], x[size.shots :], y[size.shots :])
