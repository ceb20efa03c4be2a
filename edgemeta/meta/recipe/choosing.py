"""Which of the candidates wins: the cheapest of those that are as good as the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from edgemeta.measure.evaluate import Estimate


@dataclass(frozen=True)
class Scored:
    """An init and a way to adapt it, with what validation said.

    Attributes:
        init: name of the candidate that was trained.
        adapts: what the inner step updates, in words: "nothing", "head", "all weights".
        choices: fields of `TrainConfig` that adapt so.
        accuracy: by the number of shots: mean and half of the 95 % interval on validation tasks.
        flops: of one adaptation to one sample per class, and of one prediction.
    """

    init: str
    adapts: str
    choices: dict[str, Any]
    accuracy: dict[int, Estimate] = field(default_factory=dict)
    flops: int = 0

    @property
    def mean(self) -> float:
        """The mean over the numbers of shots; minus one if it diverged."""
        means = [found.mean for found in self.accuracy.values()]
        mean = sum(means) / len(means) if means else -1.0
        return mean if math.isfinite(mean) else -1.0

    @property
    def error(self) -> float:
        """The standard error of `mean`."""
        errors = [found.ci95 / 1.96 for found in self.accuracy.values()]
        return math.sqrt(sum(error**2 for error in errors)) / max(len(errors), 1)

    def record(self) -> dict[str, Any]:
        """Return plain values, as JSON has them."""
        plain = asdict(self) | {"mean": round(self.mean, 6), "error": round(self.error, 6)}
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
        return cls(record["init"], record["adapts"], choices, accuracy, record["flops"])


def cheapest(scored: Sequence[Scored]) -> Scored:
    """Return the cheapest of those that are within one standard error of the best.

    Validation tasks are a sample: what is less than a standard error below the best may as well be
    above it elsewhere, and then what costs less on the device is the better choice. Of equals in
    cost, the better one, then the first.

    Args:
        scored: at least one.
    """
    best = max(scored, key=lambda each: each.mean)
    near = [each for each in scored if each.mean >= best.mean - best.error]
    return min(near, key=lambda each: (each.flops, -each.mean))
