"""What an adaptation must not do: leave the model worse than it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import AdaptationError

if TYPE_CHECKING:
    from edgemeta.runner import Learner

RISE = 0.5
"""The share by which the support loss may end above its start: one step too long is no divergence.

Of the adaptations of a hundred random models that the test suite makes, the worst ends at 1.4 times
its start; those that diverge come to many times it, or to no number at all."""

SLACK = 0.01
"""What it may rise by besides, since it may start near zero: nats, or a share of the targets'
mean square."""


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
    losses = after.losses
    unit = 1.0 if after.ways is not None else float(np.mean(np.square(y, dtype=np.float64)))
    first, last = float(losses[0]), float(losses[-1])
    steps = f"{first:.4g} -> {last:.4g} in {len(losses) - 1} steps"
    if not np.isfinite(last):
        _refuse(before, losses, "adaptation diverged: the support loss is not finite", steps, None)
    if last > (limit := first * (1 + RISE) + SLACK * unit):
        what = "adaptation diverged: the support loss rose"
        _refuse(before, losses, what, steps, f"at most {limit:.4g}")
    if not after._is_finite():
        _refuse(before, losses, "adaptation diverged: the state is not finite", None, None)


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
        was, now = (int(np.sum(learner.predict(x) == y)) for learner in (before, after))
        if now < was:
            what = "adaptation made the holdout worse"
            _refuse(before, after.losses, what, f"{now} of {len(y)} right", f"at least {was}")
    else:
        loss_was, loss_is = (learner._loss(x, y) for learner in (before, after))
        if not loss_is <= loss_was:
            what = "adaptation made the holdout worse"
            _refuse(
                before, after.losses, what, f"a loss of {loss_is:.4g}", f"at most {loss_was:.4g}"
            )


def _refuse(
    before: Learner, losses: NDArray[np.float32], what: str, got: str | None, expected: str | None
) -> NoReturn:
    error = AdaptationError(
        what,
        got=got,
        expected=expected,
        hint="nothing was changed; try a smaller lr_scale or fewer steps, or check the labels",
    )
    error.losses, error.learner = losses, before
    raise error
