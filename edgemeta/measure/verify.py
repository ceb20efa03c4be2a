"""Replaying a bundle's recorded episode: does this machine compute what PyTorch did?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.bundle.selftest import Result, Sampled, read_selftest, root_mean_squares
from edgemeta.device.runner import Runner
from edgemeta.errors import BundleError, ParityError


@dataclass(frozen=True)
class Difference:
    """How far one group of tensors is from PyTorch.

    Attributes:
        largest: the largest absolute difference in the tensor that comes nearest to its limit.
        limit: of that tensor: atol + rtol * its largest value.
        tensor: its name.
    """

    largest: float
    limit: float
    tensor: str

    @property
    def passed(self) -> bool:
        """Whether the difference is within the limit."""
        return self.largest <= self.limit


def verify(runner: Runner) -> dict[str, Difference]:
    """Replay the selftest of a bundle.

    Returns:
        The difference of each group: "state", "losses", and "logits" or "output".

    Raises:
        BundleError: the selftest cannot be used.
        ParityError: a difference exceeds its limit, or is not a number.
    """
    want = read_selftest(runner.path, runner.manifest)
    learner = runner.adapt(want.support_x, want.support_y, want.steps, want.lr_scale, guard=False)
    prediction = bundle.prediction_name(runner.manifest.task)
    limits = tolerance(runner.manifest)
    found = {
        "state": compare(learner.state_dict(), want.state, *limits),
        bundle.LOSSES: compare(
            {bundle.LOSSES: learner.losses}, {bundle.LOSSES: want.losses}, *limits
        ),
        prediction: compare(
            {prediction: learner.predict_logits(want.query_x)},
            {prediction: want.prediction},
            *limits,
        ),
    }
    for difference in found.values():
        if not difference.passed:
            raise ParityError(
                f"this runtime does not compute what PyTorch did: {difference.tensor} differs",
                got=f"{difference.largest:.3g}",
                expected=f"at most {difference.limit:.3g}",
                hint="report it with the output of `edgemeta inspect --json`",
            )
    return found


def tolerance(manifest: Manifest) -> tuple[float, float]:
    """Return a bundle's atol and rtol."""
    return float(manifest.parity["atol"]), float(manifest.parity["rtol"])


def compare(
    got: Mapping[str, NDArray[Any]], want: Mapping[str, Result], atol: float, rtol: float
) -> Difference:
    """Return the difference of the tensor that comes nearest to its limit.

    Of a large recorded result only one value in each block is at hand, and the block's root mean
    square. Both have the limit that every value has: where no value of a block is off by more than
    the limit, neither is the root mean square, by the triangle inequality. So a runtime that would
    pass by all its values passes by these.

    Raises:
        BundleError: a shape differs.
    """
    found = []
    for name, tensor in got.items():
        expected = want[name]
        if tensor.shape != expected.shape:
            raise BundleError(
                f"the selftest does not fit the bundle: {name}",
                got=expected.shape,
                expected=tensor.shape,
            )
        if isinstance(expected, Sampled):
            chosen = tensor.reshape(-1)[expected.places]
            pairs = [(chosen, expected.values), (root_mean_squares(tensor), expected.rms)]
            scale = expected.values
        else:
            pairs, scale = [(tensor, expected)], expected
        limit = atol + rtol * float(np.abs(scale).max(initial=0))
        apart = [float(np.abs(ours - theirs).max(initial=0)) for ours, theirs in pairs]
        largest = max(each if np.isfinite(each) else np.inf for each in apart)
        found.append(Difference(largest, limit, name))
    return max(found, key=lambda difference: difference.largest / difference.limit)
