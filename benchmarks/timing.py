"""Timing contestants fairly, and small sums over the times.

The thread pools of PyTorch (OpenMP) and of onnxruntime spin for a while after each call, and so
disturb whoever runs next. Contestants therefore run in rounds of several calls, a pause before each
round lets them fall asleep, the first calls of a round are dropped, rounds alternate, and medians
are taken.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.measure.bench import timed
from edgemeta.measure.bench_record import machine as processor

ROUND = 0.1  # seconds that a round should take, so that caches and clocks are warm in it
CALLS = (3, 100)  # in a round, at least and at most
DROPPED = 0.2  # share of them that does not count, the first
PAUSE = 0.1  # seconds before a round

Round = Callable[[int], list[float]]
"""Calls a contestant so many times, and returns the seconds of each call."""


def local(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> Round:
    """Make a contestant of a function in this process, timed by a clock that counts seconds."""
    return lambda calls: [timed(call, clock)[1] for _ in range(calls)]


def in_rounds(contestants: Mapping[str, Round], rounds: int) -> dict[str, list[float]]:
    """Run all contestants in alternating rounds, after a round that warms up.

    Args:
        contestants: by name.
        rounds: measured rounds of each.

    Returns:
        By name, the seconds of all calls that count.
    """
    calls = {
        name: int(np.clip(ROUND / np.median(run(CALLS[0])), *CALLS))
        for name, run in contestants.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            time.sleep(PAUSE)
            seconds[name] += run(calls[name])[math.ceil(DROPPED * calls[name]) :]
    return seconds


def median_ms(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds."""
    return float(np.median(np.array(seconds))) * 1e3


def relative_difference(got: Mapping[str, NDArray[Any]], want: Mapping[str, NDArray[Any]]) -> float:
    """Return the largest difference in any tensor, relative to that tensor's largest value."""
    if got.keys() != want.keys():
        raise ValueError(f"other tensors: {sorted(got.keys() ^ want.keys())}")
    worst = []
    for name, value in want.items():
        if got[name].shape != value.shape:
            raise ValueError(f"{name}: shape {got[name].shape}, expected {value.shape}")
        apart = np.abs(np.asarray(got[name], np.float64) - value).max()
        worst.append(apart / max(np.abs(value).max(), 1e-12))
    return float(np.max(worst))  # which is not a number where one of them is not


def fitted_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return p of cost = c * size^p, by least squares on logarithms."""
    slope, _ = np.polyfit(np.log(np.array(sizes, float)), np.log(np.array(costs, float)), 1)
    return float(slope)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column is set left, the others right."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    rule = ["-" * widths[0], *["-" * (width - 1) + ":" for width in widths[1:]]]
    laid = [
        [line[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]]
        for line in (lines[0], rule, *lines[1:])
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in laid)


def machine(threads: int) -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # of everyone, before
        "threads": threads,
        "packages": {name: version(name) for name in ("torch", "onnxruntime", "numpy")},
    }


def write_json(path: Path, content: Any) -> None:
    """Write a result file, readable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
