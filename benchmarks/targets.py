"""Does another form of a bundle cost less on some kind of device? And what does a device need?

python -m benchmarks.targets [FOLDER] [--cases mlp] [--rounds 7]

FOLDER is export/web, where `make web` has built the JavaScript package. Each case is exported in
several forms, and each form is loaded by a process of its own on two runtimes, both with one
thread: onnxruntime, as phones and small boards run it, and its WebAssembly build, as a page has it.
All forms adapt to the recorded support set in alternating rounds. What counts is the processor time
that a process takes, in the round that was disturbed least: whatever else a machine does adds to
it. One form takes part twice: what the two differ by is noise. Results of each form are compared
with PyTorch's first.

Writes benchmarks/results/targets.json; `python -m benchmarks.pages.targets` makes the page of it.
"""

from __future__ import annotations

import gzip
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import onnxruntime

from benchmarks.contestants import compile_case
from benchmarks.models import CASES
from benchmarks.timing import write_json
from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.bundle.files import read_manifest
from edgemeta.measure.bench_record import machine
from edgemeta_export import GraphForm
from tests.parity.adapter import Adapter
from tests.parity.bundles import Recorded
from tests.parity.replay import replay, replay_all
from tests.parity.runtimes import ROOT

RESULT = Path(__file__).parent / "results" / "targets.json"
WEB = ROOT / "export" / "web"
DEFAULT = ("mlp", "conv4-32", "ds-cnn", "gru")
USUAL, AGAIN = "usual", "usual, again"
FORMS = {
    USUAL: GraphForm(),
    "unrolled": GraphForm(unroll=True),
    "without tiles": GraphForm(without=("tiles",)),
    "opset 17": GraphForm(opset=17),
}
CALLS = 10
CPP, WASM, NODE = "onnxruntime, C++", "onnxruntime-web, WebAssembly", "onnxruntime-node"
PAGE_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def runtimes(folder: Path) -> dict[str, list[str]]:
    """Return the commands that run a bundle on each runtime."""
    wasm = ROOT / "benchmarks" / "peers" / "wasm_peer.mjs"
    return {
        "onnxruntime": [sys.executable, "-m", "tests.parity.adapters.python", "1"],
        "WebAssembly": ["node", str(wasm), str(folder.resolve())],
    }


def measured(command: Sequence[str], forms: Mapping[str, Path], rounds: int) -> dict[str, Any]:
    """Return what an adaptation (and a prediction) costs with each form.

    Returns:
        Milliseconds of the processor in the best round, and their ratio to those of the usual form.
    """
    forms = {**forms, AGAIN: forms[USUAL]}
    cost: dict[str, list[float]] = {name: [] for name in forms}
    with ExitStack() as stack:
        adapters = {name: stack.enter_context(Adapter(command, ROOT)) for name in forms}
        for name, path in forms.items():
            replay_all(adapters[name], Recorded(name, path, (path / bundle.SELFTEST,)), CALLS)
        for _ in range(rounds):
            for name, path in forms.items():
                episode = path / bundle.SELFTEST
                manifest, _ = read_manifest(path)
                once, often = (spent(adapters[name], episode, manifest, n) for n in (1, 1 + CALLS))
                cost[name].append((often - once) / CALLS)
    best = {name: min(each) for name, each in cost.items()}
    return {name: {"ms": ms, "ratio": ms / best[USUAL]} for name, ms in best.items()}


def spent(adapter: Adapter, episode: Path, manifest: Manifest, calls: int) -> float:
    """Return the milliseconds of the processor that an adapter takes for so many calls."""
    before = processor_ns(adapter.pid)
    replay(adapter, episode, manifest, calls)
    return (processor_ns(adapter.pid) - before) / 1e6


def processor_ns(pid: int) -> int:
    """Return the nanoseconds that all threads of a process have run so far, as Linux counts."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


def sizes(folder: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Return the bytes of what a device needs beside the bundle, plain and compressed, by file."""
    capi = Path(onnxruntime.__file__).parent / "capi"
    modules = folder / "node_modules"
    node = modules / "onnxruntime-node" / "bin"
    places = {
        CPP: [p for p in capi.glob("libonnxruntime.so*") if not p.is_symlink()],
        WASM: [modules / "onnxruntime-web" / "dist" / name for name in PAGE_FILES],
        NODE: [*node.glob("*/linux/x64/*")],
    }
    return {
        name: {
            path.name: {
                "bytes": path.stat().st_size,
                "gzip": len(gzip.compress(path.read_bytes())),
            }
            for path in paths
        }
        for name, paths in places.items()
    }


def npm_versions(folder: Path) -> dict[str, str]:
    """Return the versions of the npm packages."""
    names = ("onnxruntime-web", "onnxruntime-node")
    files = {name: folder / "node_modules" / name / "package.json" for name in names}
    return {name: json.loads(path.read_text())["version"] for name, path in files.items()}


@click.command(help="Compare forms of a bundle on two runtimes, and weigh what a device needs.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=WEB)
@click.option("--cases", multiple=True, type=click.Choice(list(CASES)), default=DEFAULT)
@click.option("--rounds", default=7, show_default=True, help="Measured rounds of each.")
@click.option(
    "--bundles",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the bundles here, and take those that are there. [default: nowhere]",
)
def main(folder: Path, cases: Sequence[str], rounds: int, bundles: Path | None) -> None:
    """Measure, and write the results after each case."""
    found: dict[str, Any] = {}
    record = {
        "machine": {"cpu": machine(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"onnxruntime": version("onnxruntime")} | npm_versions(folder),
        "rounds": rounds,
        "sizes": sizes(folder),
        "cases": found,
    }
    for case in cases:
        with nullcontext(bundles) if bundles else tempfile.TemporaryDirectory() as made:
            forms = {
                name: compile_case(CASES[case], Path(made) / case / name, form)
                for name, form in FORMS.items()
            }
            found[case] = {
                "kb": {
                    name: {file: (path / file).stat().st_size / 1e3 for file in bundle.PAYLOAD}
                    for name, path in forms.items()
                },
                "cost": {
                    runtime: measured(command, forms, rounds)
                    for runtime, command in runtimes(folder).items()
                },
            }
        click.echo(f"{case}: {json.dumps(found[case]['cost'])}")
        write_json(RESULT, record)


if __name__ == "__main__":
    main()
