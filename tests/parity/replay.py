"""Replaying recorded episodes through an adapter, and comparing with what PyTorch computed."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.bundle._tensor_file import Tensors, read_tensors
from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import Result, parse_selftest
from edgemeta.measure.verify import Difference, compare, tolerance
from tests.parity.adapter import Adapter, AdapterError
from tests.parity.bundles import Recorded

TIMED = ("adapt", "predict")
Times = dict[str, list[float]]
"""Milliseconds of each repetition, by `TIMED`."""


class DisagreementError(Exception):
    """A runtime computes something else than PyTorch; one line."""


@dataclass(frozen=True)
class Outcome:
    """How a runtime did on one bundle.

    Attributes:
        runtime: what the adapter runs on, as it names that itself.
        version: of it.
        largest: the largest difference from PyTorch, in shares of its limit.
        where: the episode and the tensor that it is in.
        adapt_ms: median over the selftest's repetitions.
        predict_ms: the same, of all its queries at once.
    """

    runtime: str
    version: str
    largest: float
    where: str
    adapt_ms: float
    predict_ms: float


def replay_all(adapter: Adapter, recorded: Recorded, repeats: int = 1) -> Outcome:
    """Have an adapter replay all episodes of a bundle.

    Args:
        adapter: a running one.
        recorded: the bundle.
        repeats: of the selftest, for the times; all others are replayed once.

    Raises:
        DisagreementError: a difference exceeds its limit, or is not a number.
        AdapterError: see `Adapter.ask` and `replay`.
    """
    manifest, _ = read_manifest(recorded.path)
    limits = tolerance(manifest)
    loaded = adapter.ask(op="load", bundle=str(recorded.path))
    found: dict[str, Difference] = {}
    times: Times = {}
    for episode in recorded.episodes:
        got, want, ms = replay(adapter, episode, manifest, 1 if times else repeats)
        times = times or ms
        found[episode.stem] = worst = compare(got, want, *limits)
        if not worst.passed:
            raise DisagreementError(
                f"{recorded.name}, {episode.stem}: {worst.tensor} differs from PyTorch by "
                f"{worst.largest:.3g}, expected at most {worst.limit:.3g}"
            )
    share = {name: each.largest / each.limit for name, each in found.items()}
    name = max(share, key=lambda name: share[name])
    return Outcome(
        runtime=str(loaded.get("runtime", "unknown")),
        version=str(loaded.get("version", "unknown")),
        largest=share[name],
        where=f"{found[name].tensor} of {name}",
        adapt_ms=float(np.median(times["adapt"])),
        predict_ms=float(np.median(times["predict"])),
    )


def replay(
    adapter: Adapter, episode: Path, manifest: Manifest, repeats: int
) -> tuple[Tensors, dict[str, Result], Times]:
    """Have an adapter replay one episode of the bundle that has this manifest.

    Returns:
        What the adapter computed, what PyTorch did, by the same names; and how long it took.

    Raises:
        AdapterError: see `Adapter.ask`; or what it wrote is not what the protocol asks for.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.safetensors"
        answer = adapter.ask(op="replay", episode=str(episode), out=str(out), repeats=repeats)
        try:
            _, got = read_tensors(out.read_bytes())
        except (OSError, ValueError) as error:
            raise AdapterError(f"{episode.stem}: its results cannot be read: {error}") from error
    recorded = parse_selftest(episode.read_bytes(), manifest)
    want = {bundle.next_name(name): result for name, result in recorded.state.items()} | {
        bundle.LOSSES: recorded.losses,
        bundle.prediction_name(manifest.task): recorded.prediction,
    }
    found = {name: f"{tensor.dtype} {tensor.shape}" for name, tensor in got.items()}
    expected = {name: f"float32 {result.shape}" for name, result in want.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise AdapterError(
                f"{episode.stem}: {name} is {found.get(name, 'missing')}, "
                f"expected {expected.get(name, 'no such tensor')}"
            )
    return got, want, _times(answer, repeats)


def _times(answer: dict[str, Any], repeats: int) -> Times:
    """Return the milliseconds that an adapter reports."""
    ms = answer.get("ms")
    for name in TIMED:
        times = ms.get(name) if isinstance(ms, dict) else None
        if not isinstance(times, list) or len(times) != repeats or not all(map(_is_time, times)):
            raise AdapterError(f"its answer has not {repeats} times to {name}: {str(answer)[:200]}")
    return {name: ms[name] for name in TIMED}  # type: ignore[index]


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0
