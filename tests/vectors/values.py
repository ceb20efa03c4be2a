"""Vectors of labels on writing, of the guard, and of what an estimator computes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgemeta.bundle.state import LABELS_ROOM
from edgemeta.device.familiarity import familiarity
from edgemeta.estimators._calibration import find_temperature
from tests.vectors import Vector
from tests.vectors.base import ACCEPT, ADAPTATION, INPUT
from tests.vectors.states import LABELS, ODD_LABELS

# What JSON itself refuses can be no label of a caller.
NO_CALLERS = ("no JSON", "something behind", "nest too deeply", "not a number", "no list", "1e999")
# Fewer bytes as they are written than as they were read.
TOO_LONG = {
    "labels that are too long": [INPUT, ["x" * LABELS_ROOM]],
    "labels that are not quite too long": [ACCEPT, ["x" * (LABELS_ROOM - 4)]],
}


def labels() -> Iterator[Vector]:
    """Yield the vectors of kind "labels"."""
    for name, each in LABELS.items():
        yield Vector(name, {"kind": "labels", "labels": each}, ACCEPT, {})
    for name, each in ODD_LABELS.items():
        if not name.endswith(NO_CALLERS) and "too long" not in name:
            yield Vector(name, {"kind": "labels", "labels": each}, INPUT, {})
    for name, (verdict, found) in TOO_LONG.items():
        request = {"kind": "labels", "labels": json.dumps(found)}
        yield Vector(name, request, str(verdict), {})


def guards() -> Iterator[Vector]:
    """Yield the vectors of kind "guard"."""
    yield _guard("a loss that falls", [1, 0.5])
    yield _guard("a loss that rises a little", [1, 1.5])
    yield _guard("a loss at its limit", [2, 3.0099999904632568])
    yield _guard("a loss above its limit", [2, 3.0100002288818359], ADAPTATION)
    yield _guard("a loss that rises from nothing", [0, 0.0099999997764825821])
    yield _guard("a loss that rises from nothing by more", [0, 0.010000001], ADAPTATION)
    yield _guard("a loss in between does not count", [1, 100, 0.5])
    yield _guard("a loss that is not a number", [1, "NaN"], ADAPTATION)
    yield _guard("a loss that is infinite", [1, "Infinity"], ADAPTATION)
    yield _guard("a first loss that is not a number", ["NaN", 1])
    yield _guard("a first loss that is infinite", ["Infinity", 1])
    yield _guard("a state that is not a number", [1, 0.5], ADAPTATION, [[0, "NaN"]])
    yield _guard("a state that is infinite", [1, 0.5], ADAPTATION, [[0], ["-Infinity"]])
    yield _guard("no state", [1, 0.5], ACCEPT, [])
    yield _guard("large targets", [1, 60], ACCEPT, [[0]], [100, -100])
    yield _guard("small targets", [0, 0.005], ADAPTATION, [[0]], [0.1, -0.1])


def _guard(
    name: str,
    losses: Sequence[float | str],
    verdict: str = ACCEPT,
    state: Sequence[Sequence[float | str]] = ((0, 1),),
    targets: Sequence[float] | None = None,
) -> Vector:
    request = {"kind": "guard", "losses": losses, "state": state, "targets": targets}
    return Vector(name, request, verdict, {})


def temperatures() -> Iterator[Vector]:
    """Yield the vectors of kind "temperature"."""
    rng = np.random.default_rng(0)
    for name, scale, wrong in (
        ("sure and right", 8.0, 0),
        ("sure and sometimes wrong", 8.0, 3),
        ("unsure", 0.3, 2),
        ("as hot as can be", 500.0, 9),
    ):
        y = np.arange(12) % 3
        logits = np.round(rng.normal(size=(12, 3)) + scale * np.eye(3)[y], 3)
        y[:wrong] = (y[:wrong] + 1) % 3
        request: dict[str, Any] = {"kind": "temperature", "logits": logits.tolist()}
        facts = {"temperature": round(find_temperature(logits, y), 6)}
        yield Vector(name, request | {"y": y.tolist()}, ACCEPT, facts)


def familiarities() -> Iterator[Vector]:
    """Yield the vectors of kind "familiarity"."""
    logits = np.array([[3.0, 1, 0], [0, 2, 1], [1, 1, 1], [0, 0, 5], [-1, -2, -3]])
    reference = np.array([1.0, 0.5, 1, 2, -4])
    for name, own in (
        ("all classes have samples", [2, 1.5, 3]),
        ("a class without samples", [2, 1.5, 0]),
        ("a class that its own samples do not win", [-1, 1.5, 3]),
    ):
        found = familiarity(logits, reference, np.array(own, np.float32)).tolist()
        request = {"kind": "familiarity", "logits": logits.tolist(), "own": own}
        request["reference"] = reference.tolist()
        yield Vector(name, request, ACCEPT, {"familiarity": found})
