"""Networks of timm and torchvision, compiled: how long it takes, and how far from PyTorch it is.

python -m benchmarks.breadth [NETWORK]... [--only head|"last block"|all]

Writes benchmarks/results/breadth.json, where the networks that are not named keep their numbers.
`benchmarks.pages.support` makes a table of it; tests/export/test_breadth.py says what must be
installed.

A network has random weights and norm statistics, 5 ways, 10 support samples and 3 steps. The
reference is fine-tuning in PyTorch with `torch.optim.SGD`, in eval mode; the difference is that of
the logits of 6 queries afterwards, relative to the largest, from PyTorch in float32 or in float64,
whichever is nearer: an activation within rounding of a kink parts the two. Processor
time is that of an export in a process that has exported before: the first one takes some seconds
more, for imports.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.timing import machine, write_json
from edgemeta import Runner
from edgemeta_export import export_bundle
from tests.networks import (
    KINDS,
    NETWORKS,
    QUERIES,
    SAMPLES,
    STEPS,
    Network,
    difference,
    rate,
    references,
)

RESULT = Path(__file__).parent / "results" / "breadth.json"
CALLS = 5  # of which the fastest counts, after one that does not


def measured(network: Network, what: str) -> dict[str, float]:
    """Export a network, adapt it, and compare it with PyTorch.

    Args:
        network: the network.
        what: what adapts: one of `KINDS`.
    """
    model, patterns = network.model(), network.adapt(what)
    x, y = network.samples(SAMPLES, seed=0)
    query_x, _ = network.samples(QUERIES, seed=7)
    support = torch.tensor(x), torch.tensor(y)
    lr = rate(model, patterns, *support)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter(), time.process_time()
        path = export_bundle(
            model,
            Path(folder) / "bundle",
            x,
            inner_lr=lr,
            inner_steps=STEPS,
            adapt=patterns,
            example_y=y,
        )
        wall, used = time.perf_counter() - start[0], time.process_time() - start[1]
        runner = Runner(path, threads=1)
        seconds = []
        for _ in range(1 + CALLS):
            begun = time.perf_counter()
            learner = runner.adapt(x, y)
            seconds.append(time.perf_counter() - begun)
        got = learner.predict_logits(query_x)
        tolerance = float(runner.manifest.parity["rtol"])
        weights = (path / "init.bin").stat().st_size
        size = sum(file.stat().st_size for file in path.iterdir())
    wanted = references(model, patterns, *support, lr, torch.tensor(query_x))
    with torch.no_grad():
        before = model(torch.tensor(query_x)).numpy()
    want, largest = wanted[0], np.abs(wanted[0]).max()
    return {
        "difference": difference(got, wanted),
        "from_float32": float(np.abs(got - want).max() / largest),
        "float32_from_float64": float(np.abs(want - wanted[1]).max() / largest),
        "moved": float(np.abs(want - before).max() / largest),
        "tolerance": tolerance,
        "export_seconds": wall,
        "export_process_seconds": used,
        "adapt_ms": min(seconds[1:]) * 1e3,
        "init_bytes": weights,
        "bundle_bytes": size,
    }


def main(names: Sequence[str], kinds: Sequence[str]) -> None:
    """Measure, print a line each, and write the result after each."""
    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"networks": {}}
    found |= machine(threads=1)
    found["packages"] |= {name: version(name) for name in ("timm", "torchvision")}
    with tempfile.TemporaryDirectory() as folder:  # what a first export imports
        layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
        export_bundle(
            layers, Path(folder) / "b", np.eye(4, dtype="f4"), inner_lr=0.1, inner_steps=1
        )
    for network in NETWORKS:
        if names and network.name not in names:
            continue
        entry = found["networks"].setdefault(network.name, {})
        entry |= {
            "package": network.package,
            "parameters": sum(p.numel() for p in network.model().parameters()),
            "input": [3, network.size, network.size],
        }
        for what in (kind for kind in network.kinds if kind in kinds):
            entry.pop(what, None)
            try:
                entry[what] = measured(network, what)
            except Exception as error:  # to be seen in the table, whatever it is
                print(f"{network.name}, {what}: {type(error).__name__}: {error}", flush=True)
                continue
            each = entry[what]
            print(
                f"{network.name:<22} {what:<10} export {each['export_seconds']:6.1f} s "
                f"(processor {each['export_process_seconds']:5.1f} s)  "
                f"difference {each['difference']:.1e}  adapt {each['adapt_ms']:7.1f} ms",
                flush=True,
            )
            write_json(RESULT, found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NETWORK")
    parser.add_argument("--only", choices=KINDS)
    chosen = parser.parse_args()
    main(chosen.names, [chosen.only] if chosen.only else KINDS)
