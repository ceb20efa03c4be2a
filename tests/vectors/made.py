"""All vectors, as they are made."""

from __future__ import annotations

from collections.abc import Iterator

from tests.vectors import Vector
from tests.vectors.graphs import graphs
from tests.vectors.manifests import manifests
from tests.vectors.states import digests, states
from tests.vectors.values import familiarities, guards, labels, temperatures


def vectors() -> Iterator[Vector]:
    """Yield every vector."""
    for made in (manifests, graphs, states, digests, labels, guards, temperatures, familiarities):
        yield from made()


def files() -> dict[str, str]:
    """Return the content of each file: a line for each vector of its kind."""
    lines: dict[str, list[str]] = {}
    for vector in vectors():
        lines.setdefault(f"{vector.kind}.jsonl", []).append(vector.line())
    return {name: "\n".join([*found, ""]) for name, found in lines.items()}
