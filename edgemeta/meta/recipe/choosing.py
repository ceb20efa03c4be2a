"""Which of the candidates wins: of those that are as good as the best, the cheapest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from edgemeta.measure.evaluate import Estimate

CLEARLY = 2.0
"""Standard errors by which a training has to be worse before a poorer one replaces it."""


@dataclass(frozen=True)
class Scored:
    """An init and a way to adapt it, with what validation said.

    Attributes:
        init: name of the candidate that was trained.
        adapts: what the inner step updates, in words: "nothing", "head", "all weights".
        choices: fields of `TrainConfig` that adapt so.
        accuracy: by the number of shots: mean and half of the 95 % interval on validation tasks.
        flops: of one adaptation to one sample per class, and of one prediction.
        units: by the id of a validation class, or of a person where people are what is new: the
            accuracy on its queries, a mean over the numbers of shots.
    """

    init: str
    adapts: str
    choices: dict[str, Any]
    accuracy: dict[int, Estimate] = field(default_factory=dict)
    flops: int = 0
    units: dict[int, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the numbers of shots; minus one if it diverged."""
        means = [found.mean for found in self.accuracy.values()]
        mean = sum(means) / len(means) if means else -1.0
        return mean if math.isfinite(mean) else -1.0

    def error_beside(self, other: Scored) -> float:
        """Return the standard error of the difference between both means.

        Tasks can be drawn without end, but a dozen validation classes, or people, are all that
        there are: these are the sample, and each is compared with itself.
        """
        shared = sorted(self.units.keys() & other.units.keys())
        if len(shared) < 2:
            return 0.0
        apart = [self.units[unit] - other.units[unit] for unit in shared]
        return float(np.std(apart, ddof=1)) / math.sqrt(len(apart))

    def record(self) -> dict[str, Any]:
        """Return plain values, as JSON has them."""
        plain = asdict(self) | {"mean": round(self.mean, 6)}
        plain["units"] = {str(unit): round(found, 4) for unit, found in self.units.items()}
        plain["accuracy"] = {
            str(shots): {"mean": round(e.mean, 6), "ci95": round(e.ci95, 6)}
            if math.isfinite(e.mean)
            else None
            for shots, e in self.accuracy.items()
        }
        return plain

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Scored:
        """Return what `record` was made of."""
        choices = record["choices"] | {"adapt": tuple(record["choices"]["adapt"])}
        accuracy = {
            int(shots): Estimate(math.nan, math.nan) if e is None else Estimate(**e)
            for shots, e in record["accuracy"].items()
        }
        units = {int(unit): found for unit, found in record["units"].items()}
        return cls(record["init"], record["adapts"], choices, accuracy, record["flops"], units)


def cheapest(scored: Sequence[Scored]) -> Scored:
    """Return the cheapest of those that are within one standard error of the best.

    What is less than a standard error below the best may as well be above it elsewhere, and then
    what costs less on the device is the better choice. Of equals in cost, the better one, then the
    first.

    Args:
        scored: at least one.
    """
    return min(_near_best(scored, 1.0), key=lambda each: (each.flops, -each.mean))


def first_good(scored: Sequence[Scored]) -> Scored:
    """Return the first that is not clearly worse than the best: by two standard errors.

    Args:
        scored: at least one, the one to be preferred first.
    """
    return _near_best(scored, CLEARLY)[0]


def _near_best(scored: Sequence[Scored], errors: float) -> list[Scored]:
    best = max(scored, key=lambda each: each.mean)
    return [s for s in scored if s.mean >= best.mean - errors * best.error_beside(s)]
