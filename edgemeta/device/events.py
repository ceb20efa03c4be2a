"""What a runner tells of its work: by Python's `logging`, and to a callback."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LOG = logging.getLogger("edgemeta")
LEVELS = {
    "load": logging.INFO,
    "adapt": logging.INFO,
    "freeze": logging.INFO,
    "predict": logging.DEBUG,
}


@dataclass(frozen=True)
class Event:
    """One piece of work, done.

    The steps of an adaptation run within one call of onnxruntime, so that each has a loss of its
    own, but no time of its own.

    Attributes:
        action: what was done.
        bundle: path of the bundle.
        milliseconds: total duration, checks of the input included.
        samples: how many were adapted to or predicted.
        steps: inner steps.
        losses: of an adaptation, the support loss before each step and after the last.
    """

    action: Literal["load", "adapt", "freeze", "predict"]
    bundle: str
    milliseconds: float
    samples: int = 0
    steps: int = 0
    losses: tuple[float, ...] = ()

    def __str__(self) -> str:
        """Return one line for a log."""
        line = f"{self.action} {self.bundle}: {self.milliseconds:.2f} ms"
        if self.samples:
            line += f", {self.samples} samples"
        if self.losses:
            line += f", {self.steps} steps, loss {self.losses[0]:.4g} -> {self.losses[-1]:.4g}"
        return line


Observer = Callable[[Event], Any]
"""Is called with each event, in the thread that did the work."""


def emit(
    observe: Observer | None,
    action: Literal["load", "adapt", "freeze", "predict"],
    bundle: object,
    began: float,
    samples: int = 0,
    losses: NDArray[np.float32] | None = None,
) -> None:
    """Log an event, and call the observer.

    A log record has the event's attributes as its own.

    Args:
        observe: the observer; None for none.
        action: what was done.
        bundle: path of the bundle.
        began: when, by `time.perf_counter`.
        samples: how many.
        losses: (steps + 1,) of an adaptation.
    """
    level = LEVELS[action]
    if observe is None and not LOG.isEnabledFor(level):
        return  # within a tenth of a microsecond
    milliseconds = (time.perf_counter() - began) * 1e3
    found = () if losses is None else tuple(losses.tolist())
    steps = max(len(found) - 1, 0)
    event = Event(action, str(bundle), milliseconds, samples, steps, found)
    LOG.log(level, "%s", event, extra=vars(event))
    if observe is not None:
        observe(event)
