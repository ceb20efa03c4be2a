"""How familiar samples are to a learner; `edgemeta.device.familiarity` says what that means.

Where a bundle names its classes, those without samples are predicted, too: how far they are above
the mean is taken to be what it is for the others on average.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.familiarity import mean_lead, with_reference
from edgemeta.device.runner import Learner, Runner


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
    return with_reference(learner.predict_logits(x), classes, runner.manifest.any_ways)


def own_lead(
    runner: Runner, learner: Learner, x: NDArray[Any], y: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Return how far each class's samples are above the reference, (C,); 0 without samples."""
    return mean_lead(*compared(runner, learner, x, classes), y)
