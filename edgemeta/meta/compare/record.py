"""What a comparison writes to RUN/baselines.json, and what follows from it.

| key | |
|---|---|
| `setting` | the test episodes |
| `grid` | the validation episodes, and what is chosen among on them |
| `curve` | the test episodes with other numbers of shots; None where there are none |
| `contestants` | an entry each, the run first |

An entry has `init` and `method`, `mean`, `ci95` and `scores` by episode (None where adapting
diverged), what was chosen (`steps` and `inner_lr`, or `C`) and the best of which `grid` it is, the
points of its `curve`, and the `gain` of the run over it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Estimate, mean_and_ci95, plus_minus
from edgemeta.tasks.source import TaskKind

NOT_CHOSEN = ("mean", "ci95")  # of a point of a grid


def best_point(grid: Sequence[Mapping[str, Any]], kind: TaskKind) -> dict[str, Any]:
    """Return what the best validation figure was reached with; of equals, the first.

    Args:
        grid: points with `mean`, `ci95` and what they were reached with.
        kind: of the tasks; for regression, less is better.

    Raises:
        InputError: adapting diverges everywhere.
    """
    finite = [point for point in grid if point["mean"] is not None]
    if not finite:
        raise InputError("adapting diverges at every point of the grid", hint="is the data scaled?")
    sign = 1 if kind == "classification" else -1
    best = max(finite, key=lambda point: sign * point["mean"])
    return {name: value for name, value in best.items() if name not in NOT_CHOSEN}


def gain(
    run: Mapping[str, Any], baseline: Mapping[str, Any], kind: TaskKind
) -> dict[str, float] | None:
    """Return by how much a run is better than a baseline; None where either diverged.

    Both saw the same episodes, so the interval is that of the differences by episode: how hard an
    episode is cancels out.

    Args:
        run: entry of the run, with `scores`.
        baseline: of another.
        kind: of the tasks; for regression, less is better.
    """
    if run["scores"] is None or baseline["scores"] is None:
        return None
    apart = np.array(run["scores"]) - np.array(baseline["scores"])
    return mean_and_ci95((apart if kind == "classification" else -apart).tolist())._asdict()


def finite(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate for JSON, which has no infinity."""
    return {n: v if math.isfinite(v) else None for n, v in estimate._asdict().items()}


def called(entry: Mapping[str, Any]) -> str:
    """Return what a table calls an entry."""
    return f"{entry['init']}, {entry['method']}"


def chosen(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return how an entry adapts, for a table: steps, and their rate or what stands for it."""
    if "C" in entry:
        return "-", f"C {entry['C']:g}"
    return str(entry.get("steps", "-")), str(entry.get("inner_lr", "-"))


def curve_shots(record: Mapping[str, Any]) -> list[int]:
    """Return for which shots there are points, ascending; [] without a curve."""
    entries = record["contestants"]
    return sorted({p["shots"] for entry in entries for p in entry.get("curve", ())})


def curve_row(entry: Mapping[str, Any], shots: Sequence[int]) -> list[str]:
    """Return the points of an entry at these shots, for a table; "" where there is none."""
    points = {point["shots"]: point for point in entry.get("curve", ())}
    return [plus_minus(points[k]["mean"], points[k]["ci95"]) if k in points else "" for k in shots]
