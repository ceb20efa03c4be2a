"""How good the estimate of an adaptation's memory is: against what a fresh process comes to hold.

python -m benchmarks.memory

For each model and size of the support set, a fresh process loads the bundle, adapts to two samples,
and then to the whole support set; what its resident set grows by in the second step is measured,
and compared with the estimate of the same size (without the weights, which are loaded by then).
Two, not more: the runtime keeps their memory in blocks that are too small for the whole set.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from edgemeta import Runner
from edgemeta.bundle import ADAPT, TensorSpec
from edgemeta.measure.cold_start import peak_mb
from edgemeta.meta.models.networks import build_model
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.cost import adaptation_cost

IMAGE = TensorSpec((28, 28), "uint8")
WAYS = 5
MODELS = {
    "conv4 64 group max": {"width": 64, "norm": "group", "pool": "max"},
    "conv4 64 support max": {"width": 64, "norm": "support", "pool": "max"},
    "conv4 64 group stride": {"width": 64, "norm": "group", "pool": "stride"},
}
CHUNKS = (None, 25)  # samples at once
FIRST = 2  # samples


def main() -> None:
    """Print one line for each model and size."""
    heads = f"{'estimated MB':>14}{'measured MB':>13}{'ratio':>7}"
    print(f"{'model':<24}{'at once':>8}{'samples':>8}{heads}")
    for (name, settings), chunk in itertools.product(MODELS.items(), CHUNKS):
        if chunk is not None and settings["norm"] == "support":
            continue  # statistics over all samples
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bundle"
            model = build_model("conv4", IMAGE, ways=WAYS, std=(255.0,), **settings)  # type: ignore[arg-type]
            form = GraphForm(chunk)
            export_bundle(model, path, images(10), inner_lr=0.1, inner_steps=2, form=form)
            graph = ir.from_proto(onnx.load(path / ADAPT, load_external_data=False))
            for samples in (50, 200):
                small, large = (
                    adaptation_cost(graph, n, chunk=chunk).peak_memory_bytes / 1e6
                    for n in (FIRST, samples)
                )
                command = [sys.executable, "-m", "benchmarks.memory", str(path), str(samples)]
                child = subprocess.run(command, capture_output=True, text=True, check=True)
                measured = float(child.stdout)
                estimated = large - small
                print(
                    f"{name:<24}{chunk or 'all':>8}{samples:>8}{estimated:>14.1f}{measured:>13.1f}"
                    f"{estimated / measured:>7.2f}",
                    flush=True,
                )


def measure(path: str, samples: int) -> None:
    """Print by how many 10^6 bytes adapting to `samples` lets this process grow."""
    runner = Runner(path, threads=1)
    x = images(samples)
    y = np.arange(samples) % WAYS
    runner.adapt(x[:FIRST], y[:FIRST], guard=False)
    before = peak_mb()
    runner.adapt(x, y, guard=False)
    after = peak_mb()
    if before is None or after is None:
        raise SystemExit("this system does not tell how much memory a process holds")
    print(after - before)


def images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return (count, 28, 28) random images."""
    return np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
