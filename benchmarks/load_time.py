"""How long a bundle takes to load, and what checking it costs of that.

python -m benchmarks.load_time [BUNDLE] [--rounds N]

Two ways take turns in this process: `edgemeta.Runner`, which reads every file once, checks it, and
hands the bytes to onnxruntime; and the bare sessions, made of the paths without a look at anything.
Prints the medians in milliseconds, their ratio, and what the parts of the check take, as JSON. Time
is that of this thread on a processor: the machine may have other work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import onnxruntime

from edgemeta.bundle import ADAPT, PREDICT
from edgemeta.bundle._onnx_check import check_graph
from edgemeta.bundle.files import read_file, read_manifest
from edgemeta.device.packaged import BUNDLES
from edgemeta.device.runner import Runner
from edgemeta.device.sessions import session_options


def bare(bundle: Path) -> None:
    """Make the two sessions, unchecked."""
    for name in (ADAPT, PREDICT):
        onnxruntime.InferenceSession(
            bundle / name, session_options(1), providers=["CPUExecutionProvider"]
        )


def read_graphs(bundle: Path) -> None:
    """Read the two graphs as the runner does."""
    manifest, _ = read_manifest(bundle)
    for name in (ADAPT, PREDICT):
        check_graph((bundle / name).read_bytes(), name, manifest)


@click.command(help="Measure how long a bundle takes to load.")
@click.argument("bundle", type=click.Path(path_type=Path), default=BUNDLES / "omniglot")
@click.option("--rounds", default=60, show_default=True)
def main(bundle: Path, rounds: int) -> None:
    """Measure and print."""
    manifest, _ = read_manifest(bundle)
    ways: dict[str, Callable[[], object]] = {
        "runner": lambda: Runner(bundle, threads=1),
        "bare_sessions": lambda: bare(bundle),
        "manifest": lambda: read_manifest(bundle),
        "hashes": lambda: [read_file(bundle, name, manifest) for name in manifest.files],
        "graphs": lambda: read_graphs(bundle),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            began = time.thread_time()
            call()
            spent[name].append((time.thread_time() - began) * 1e3)
    medians = {name: float(np.median(each)) for name, each in spent.items()}
    ratio = medians["runner"] / medians["bare_sessions"]
    shown = {f"{name}_ms": round(each, 2) for name, each in medians.items()}
    click.echo(json.dumps({"bundle": bundle.name, **shown, "ratio": round(ratio, 2)}))


if __name__ == "__main__":
    main()
