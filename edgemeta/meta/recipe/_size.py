"""Tasks as large as the data allow, up to what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgemeta.errors import InputError
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.source import SPLITS, Split

LEAST_QUERIES = 2  # of a class in a validation task
MORE_SHOTS = 5  # beside `shots`: a choice that is good for one sample alone is not chosen


def fitting_size(source: ClassSource, given: Mapping[str, Any]) -> dict[str, int]:
    """Return the ways, shots and queries of tasks that each part of the data can fill.

    Args:
        source: of the tasks.
        given: what the user chose of these; the others are as usual, or smaller.

    Returns:
        "ways", "shots", "queries" and "evaluation_queries".

    Raises:
        InputError: a part cannot even fill tasks of two classes.
    """
    usual = {n: getattr(TrainConfig, n) for n in ("shots", "queries", "evaluation_queries", "ways")}
    size: dict[str, int] = usual | {n: given[n] for n in usual if n in given}
    if "ways" not in given:
        need = size["shots"] + LEAST_QUERIES
        most = min(_classes_with(source, split, need) for split in SPLITS)
        if most < 2:
            raise InputError(
                f"{source.name} is too small to learn from",
                got=f"a part with {most} classes of {need} samples",
                expected="2 or more in each of the three parts",
                hint="add data, or divide otherwise: --by, --split-seed; `edgemeta data check` "
                "shows the parts",
            )
        size["ways"] = min(size["ways"], most)
    for name, splits in (("queries", SPLITS[:1]), ("evaluation_queries", SPLITS[1:])):
        if name not in given:
            held = min(_samples_of(source, split, size["ways"]) for split in splits)
            size[name] = max(min(size[name], held - size["shots"]), 1)
    return size


def shots_to_compare(source: ClassSource, size: Mapping[str, int]) -> tuple[int, ...]:
    """Return the numbers of shots that validation tasks have: the given one, and more if it can."""
    held = _samples_of(source, "val", size["ways"])
    several = held >= MORE_SHOTS + size["evaluation_queries"] and size["shots"] < MORE_SHOTS
    return (size["shots"], MORE_SHOTS) if several else (size["shots"],)


def _classes_with(source: ClassSource, split: Split, samples: int) -> int:
    """Return how many classes of so many samples the best pool of a part has."""
    return max((int(np.sum(pool.counts >= samples)) for pool in source.pools(split)), default=0)


def _samples_of(source: ClassSource, split: Split, ways: int) -> int:
    """Return how many samples each of `ways` classes has in the best pool of a part."""
    counts = [np.sort(pool.counts)[::-1] for pool in source.pools(split)]
    return max((int(count[ways - 1]) for count in counts if len(count) >= ways), default=0)
