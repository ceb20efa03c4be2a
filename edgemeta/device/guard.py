"""What an adaptation must not do: leave the model worse than it was."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import EdgemetaError

if TYPE_CHECKING:
    from edgemeta.device.learner import Learner

RISE = 0.5
"""The share by which the support loss may end above its start: one step too long is no divergence.

No adaptation of the hundred random models in tests/zoo.py is refused by it; those that diverge come
to many times their start, or to no number at all."""

SLACK = 0.01
"""What it may rise by besides, since it may start near zero: nats, or a share of the targets'
mean square."""


class AdaptationError(EdgemetaError):
    """An adaptation made the model worse; nobody who held the learner from before has lost it.

    Attributes:
        losses: (steps + 1,) float32, the support loss before each step and after the last.
        learner: the one from before: what was continued from, or the init.
    """

    losses: NDArray[np.float32]
    learner: Learner


def check_progress(before: Learner, after: Learner, y: NDArray[Any]) -> None:
    """Check that an adaptation of at least one step has not diverged.

    Args:
        before: what it started from.
        after: what it made.
        y: (S,) labels, or (S, *target_shape) targets.

    Raises:
        AdaptationError: the last loss is not finite, or above (1 + RISE) times the first and
            SLACK, or the state is not finite.
    """
    check_finite(before, after)
    unit = 1.0 if after.ways is not None else float(np.mean(np.square(y, dtype=np.float64)))
    first, last = float(after.losses[0]), float(after.losses[-1])
    limit = first * (1 + RISE) + SLACK * unit
    if last > limit:
        _refuse_diverged(before, after, "the support loss rose", f"at most {limit:.4g}")


def check_finite(before: Learner, after: Learner) -> None:
    """Check that an adaptation of at least one step came to numbers.

    Args:
        before: what it started from.
        after: what it made.

    Raises:
        AdaptationError: the last loss, or the state, is not finite.
    """
    if not math.isfinite(after.losses[-1]):
        _refuse_diverged(before, after, "the support loss is not finite")
    if not after._is_finite():
        _refuse_diverged(before, after, "the state is not finite")


def check_holdout(before: Learner, after: Learner, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Check that an adapted learner is no worse on samples that it was not adapted to.

    Args:
        before: what it started from.
        after: the adapted learner.
        x: (H, *input_shape) samples.
        y: (H,) labels, of which the better learner predicts more, or (H, *target_shape) targets,
            on which its loss is lower.

    Raises:
        AdaptationError: it is worse.
    """
    if after.ways is not None:
        right_was, right = (int(np.sum(each.predict(x) == y)) for each in (before, after))
        worse = right < right_was
        got, expected = f"{right} of {len(y)} right", f"at least {right_was}"
    else:
        loss_was, loss = (each._loss(x, y) for each in (before, after))
        worse = not loss <= loss_was
        got, expected = f"a loss of {loss:.4g}", f"at most {loss_was:.4g}"
    if worse:
        _refuse(before, after.losses, "adaptation made the holdout worse", got, expected)


def _refuse_diverged(
    before: Learner, after: Learner, what: str, expected: str | None = None
) -> NoReturn:
    first, last = float(after.losses[0]), float(after.losses[-1])
    got = f"{first:.4g} -> {last:.4g} in {len(after.losses) - 1} steps"
    _refuse(before, after.losses, f"adaptation diverged: {what}", got, expected)


def _refuse(
    before: Learner, losses: NDArray[np.float32], what: str, got: str, expected: str | None
) -> NoReturn:
    error = AdaptationError(
        what,
        got=got,
        expected=expected,
        hint="nothing was changed; try a smaller lr_scale or fewer steps, or check the labels",
    )
    error.losses, error.learner = losses, before
    raise error
