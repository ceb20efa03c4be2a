"""How fast a bundle is here: latency of adapting and predicting, cold start, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle.selftest import read_selftest
from edgemeta.device.runner import Runner
from edgemeta.errors import EdgemetaError, InputError

WARM_UP = 3
COLD_STARTS = 3


@dataclass(frozen=True)
class Latency:
    """Milliseconds of repeated calls.

    Attributes:
        p50: the median.
        p95: what one call in twenty exceeds.
    """

    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: list[float]) -> Latency:
        """Summarise measured seconds."""
        p50, p95 = np.percentile(np.array(seconds) * 1e3, [50, 95])
        return cls(float(p50), float(p95))


@dataclass(frozen=True)
class Speed:
    """Latency for one size of the support set.

    Attributes:
        shots: support samples per class (regression: in all).
        samples: support samples in all.
        steps: inner steps.
        adapt: of adapting to the support set.
        predict: of predicting one sample with the adapted state.
    """

    shots: int
    samples: int
    steps: int
    adapt: Latency
    predict: Latency


@dataclass(frozen=True)
class ColdStart:
    """A fresh process that loads the bundle, adapts once and predicts once; medians.

    Attributes:
        total_ms: from starting the interpreter to the first prediction.
        import_ms: importing edgemeta's device side, numpy and onnxruntime included.
        load_ms: loading the bundle.
        adapt_ms: the first adaptation.
        predict_ms: the first prediction.
        peak_mb: the most memory the process held (resident set, 10^6 bytes); None where the system
            does not tell.
        bundle_mb: the part of it that came after the imports.
    """

    total_ms: float
    import_ms: float
    load_ms: float
    adapt_ms: float
    predict_ms: float
    peak_mb: float | None
    bundle_mb: float | None


def support_set(runner: Runner, shots: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return a support set of the wanted size, made of the selftest's samples.

    Args:
        runner: the loaded bundle.
        shots: samples per class (regression: in all).
    """
    if shots < 1:
        raise InputError("shots is too small", got=shots, expected="at least 1")
    recorded = read_selftest(runner.path, runner.manifest)
    samples = shots * (runner.manifest.ways or 1)
    chosen = np.arange(samples) % len(recorded.support_x)
    if runner.manifest.ways is None:
        return recorded.support_x[chosen], recorded.support_y[chosen]
    return recorded.support_x[chosen], np.arange(samples) % runner.manifest.ways


def measure(runner: Runner, *, shots: int, steps: int | None, repeats: int) -> Speed:
    """Measure adapting and predicting, taken in turns after a warm-up.

    Args:
        runner: the loaded bundle.
        shots: samples per class (regression: in all).
        steps: inner steps; None for the bundle's own number.
        repeats: measured calls of each.
    """
    steps = runner.manifest.inner_steps if steps is None else steps
    x, y = support_set(runner, shots)
    adapting, predicting = [], []
    for k in range(WARM_UP + repeats):
        learner, adapt_s = timed(lambda: runner.adapt(x, y, steps, guard=False))
        _, predict_s = timed(lambda: learner.predict_logits(x[:1]))  # noqa: B023  # called at once
        if k >= WARM_UP:
            adapting.append(adapt_s)
            predicting.append(predict_s)
    return Speed(shots, len(x), steps, Latency.of(adapting), Latency.of(predicting))


def measure_cold_start(
    runner: Runner, *, shots: int, steps: int | None, threads: int | None
) -> ColdStart:
    """Measure fresh processes; see `edgemeta.measure.cold_start`.

    Raises:
        EdgemetaError: a process failed.
    """
    request = {"bundle": str(runner.path), "shots": shots, "steps": steps, "threads": threads}
    found = []
    for _ in range(COLD_STARTS):
        child, seconds = timed(
            lambda: subprocess.run(  # noqa: S603  # our own module, by this interpreter
                [sys.executable, "-m", "edgemeta.measure.cold_start", json.dumps(request)],
                capture_output=True,
                text=True,
            )
        )
        if child.returncode:
            raise EdgemetaError("a fresh process failed", got=child.stderr.strip()[-300:])
        found.append(json.loads(child.stdout) | {"total_ms": seconds * 1e3})
    return ColdStart(**{name: _median([record[name] for record in found]) for name in found[0]})


def timed(
    call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter
) -> tuple[Any, float]:
    """Call, and return the result and the seconds that it took by a clock."""
    began = clock()
    result = call()
    return result, clock() - began


def _median(values: list[float | None]) -> Any:
    return None if None in values else float(np.median(np.array(values, float)))
