"""Choosing between ways to compute the same by measuring them here."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgemeta import bundle
from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import read_selftest
from edgemeta.device.runner import Runner
from edgemeta.measure.bench import timed
from edgemeta.measure.bench_record import machine
from edgemeta_export.form import USUAL_FORM, GraphForm
from edgemeta_export.publish import checked_target, publish

ROUNDS, CALLS, DROPPED = 7, 5, 1
SECONDS = 3.0  # for each variant, at most; one round is always measured
WORTH_IT = 0.97
"""The usual variant stays unless another takes less than this share of its time."""


USUAL = "usual"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    USUAL: {},
    "without tiles": {"without": ("tiles",)},
    "unrolled": {"unroll": True},
    "unrolled, without tiles": {"without": ("tiles",), "unroll": True},
}
"""Changes of a form that may be faster or slower, depending on the processor and the model."""


def fastest(
    export: Callable[..., Path], out: str | os.PathLike[str], form: GraphForm = USUAL_FORM
) -> Path:
    """Export each variant, adapt with it here, and put the fastest one into place.

    All of them adapt to the recorded support set in alternating rounds. Which one was chosen, the
    median times, and where they were measured go into the manifest (`tuned`).

        fastest(partial(export_bundle, model, example_x=x, inner_lr=0.1, inner_steps=5), "bundle")

    Args:
        export: `edgemeta_export.export_bundle` with all it needs but `out` and `form`.
        out: the directory that will be the bundle.
        form: what the variants have in common.

    Returns:
        The bundle's path.

    Raises:
        InputError, UnsupportedModelError, ParityError: see `export_bundle`.
    """
    target = checked_target(Path(out))
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            name: export(out=Path(folder) / name, form=replace(form, **changes))
            for name, changes in VARIANTS.items()
        }
        ms = _measured({name: Runner(path) for name, path in paths.items()})
        best = min(ms, key=lambda name: ms[name])
        chosen = best if ms[best] < WORTH_IT * ms[USUAL] else USUAL
        manifest, _ = read_manifest(paths[chosen])
        content = {name: (paths[chosen] / name).read_bytes() for name in bundle.PAYLOAD}
    tuned = {
        "chosen": chosen,
        "ms": {name: round(found, 4) for name, found in ms.items()},
        "machine": machine(),
        "cores": os.cpu_count(),
    }
    return publish(target, content, replace(manifest, tuned=tuned))


def _measured(runners: Mapping[str, Runner]) -> dict[str, float]:
    """Return the median milliseconds of an adaptation with each runner."""
    first = next(iter(runners.values()))
    recorded = read_selftest(first.path, first.manifest)

    def adapt(runner: Runner) -> Any:
        return runner.adapt(recorded.support_x, recorded.support_y, guard=False)

    seconds: dict[str, list[float]] = {name: [] for name in runners}
    began = time.perf_counter()
    for _ in range(ROUNDS):
        for name, runner in runners.items():
            times = [timed(lambda: adapt(runner))[1] for _ in range(CALLS)]  # noqa: B023
            seconds[name] += times[DROPPED:]
        if time.perf_counter() - began > SECONDS * len(runners):
            break
    return {name: float(np.median(each)) * 1e3 for name, each in seconds.items()}
