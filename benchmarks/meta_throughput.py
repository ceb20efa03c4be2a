"""How many tasks per second meta-training does: edgemeta, a plain PyTorch loop, and learn2learn.

python -m benchmarks.meta_throughput [--case mlp-maml-5] [--rounds 5] [--peer NAME=PYTHON] [--quick]
python -m benchmarks.meta_throughput --device cuda --meta-batch 16 --out FOLDER

MAML, FOMAML, ANIL and Reptile, one and five inner steps, on conv4 (32 and 64 filters, 5-way 1-shot,
75 queries, 8 tasks per outer step) and on the mlp 40-40 (sine waves, 10-shot, 10 queries, 32 tasks
per outer step). What is timed is the outer step: all tasks, and the update of the weights (Adam;
SGD for Reptile, which uses no queries). Tasks are made beforehand and are the same for all, like
the initial weights.

- "plain loop": what one writes in PyTorch, task by task. With ANIL the features of a task are
  computed once; with Reptile a deep copy is trained.
- learn2learn: `benchmarks/peers/learn2learn_peer.py` says how to make its venv.
- edgemeta: `edgemeta_contestant` in `benchmarks/meta_contestants.py`.

Before anything is timed, the meta-gradient of every contestant at the initial weights is compared
with that of the plain loop in float64, closely on three tasks with one query per class, and roughly
in the sizes that are timed (there, some of millions of activations always lie within rounding of a
corner of ReLU or max-pooling). Who comes to something else is refused, and not timed.

All contestants run in one process run, in alternating rounds, see `benchmarks/timing.py`;
learn2learn has a process of its own and only computes in its turn. All have as many threads as
PyTorch takes by default, or --threads. The ratio is to the better of plain loop and learn2learn.
Look at the load in the JSON before believing: on a machine that others use as well, two threads
suffer most.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.meta_contestants import (
    CASES,
    Make,
    MetaCase,
    MetaPeer,
    edgemeta_contestant,
    meta_gradient,
    plain_loop,
)
from benchmarks.timing import (
    Round,
    in_rounds,
    local,
    machine,
    markdown,
    median_ms,
    relative_difference,
    write_json,
)
from edgemeta.meta.runs.devices import prepare_gpu

RESULTS = Path(__file__).parent / "results"
PLAIN, EDGEMETA, LEARN2LEARN = "plain loop", "edgemeta", "learn2learn"
LOCAL: dict[str, Make] = {PLAIN: plain_loop, EDGEMETA: edgemeta_contestant}
TOLERANCE = 5e-4  # of a tensor's largest value. Rounding comes to 3e-6; with Reptile, which takes
# the difference of two nearly equal weights, to 2e-4. A missing inner step comes to 1e-1.
ROUGH = 2e-2  # the same in full size, where one corner comes to 3e-3
CLOSELY = 3  # tasks that are compared closely
SMALL_WIDTH = 16  # group norm then has groups of two; of one, it would take out the bias before it

Gradients = dict[str, NDArray[Any]]


class Reference:
    """What every contestant's meta-gradients have to be for a case.

    Attributes:
        case: in the size that is timed.
        closely: with few tasks and queries.
    """

    def __init__(self, case: MetaCase) -> None:
        self.case = case
        self.closely = replace(case, meta_batch=CLOSELY, size=replace(case.size, queries=1))
        on_cpu = replace(self.closely, device="cpu")
        self._close = meta_gradient(plain_loop, on_cpu, torch.float64)
        self._rough = meta_gradient(plain_loop, case)

    def difference(self, gradient: Callable[[MetaCase], Gradients]) -> tuple[float, float]:
        """Return how far a contestant's meta-gradients are off: closely, and in full size.

        Raises:
            ValueError: they have other names or shapes.
        """
        return (
            relative_difference(gradient(self.closely), self._close),
            relative_difference(gradient(self.case), self._rough),
        )


def peer_gradient(
    running: MetaPeer, name: str, python: str, threads: int, case: MetaCase
) -> Gradients:
    """Return the meta-gradient of a peer: of one that runs, or for another case."""
    if running.case == case:
        return running.result().params
    with MetaPeer(name, python, case, threads) as peer:
        return peer.result().params


def fault(close: float, rough: float) -> str | None:
    """Return why a contestant is refused, if it is."""
    for apart, allowed in ((close, TOLERANCE), (rough, ROUGH)):
        if not apart <= allowed:  # also where it is not a number
            return f"its meta-gradient is {apart:.1e} off, more than {allowed:.0e}"
    return None


def measure_case(
    case: MetaCase,
    rounds: int,
    threads: int,
    peers: Mapping[str, str],
    contestants: Mapping[str, Make] = LOCAL,
) -> dict[str, Any]:
    """Compare all contestants' meta-gradients, then time those that are right.

    Returns:
        Tasks per second, ratio to the better of plain loop and learn2learn, milliseconds of an
        outer step and difference from the reference (closely, and in full size), by contestant;
        why a contestant is missing, or refused; versions of the peers' packages.
    """
    reference = Reference(case)
    differences: dict[str, tuple[float, float]] = {}
    missing: dict[str, str] = {}
    refused: dict[str, str] = {}
    packages: dict[str, dict[str, str]] = {}
    runs: dict[str, Round] = {}

    def right(name: str, gradient: Callable[[MetaCase], Gradients]) -> bool:
        try:
            differences[name] = reference.difference(gradient)
            why = fault(*differences[name])
        except ValueError as error:
            why = str(error)
        if why is not None:
            refused[name] = why
        return why is None

    with ExitStack() as stack:
        for name, make in contestants.items():
            if right(name, partial(meta_gradient, make)):
                runs[name] = local(make(case, case.model()))
        for name, python in peers.items():
            try:
                peer = stack.enter_context(MetaPeer(name, python, case, threads))
            except ValueError as error:
                missing[name] = str(error)
                continue
            packages[name] = peer.packages
            if right(name, partial(peer_gradient, peer, name, python, threads)):
                runs[name] = peer.run
        seconds = in_rounds(runs, rounds)
    times = {name: median_ms(each) for name, each in seconds.items()}
    rates = {name: case.meta_batch / ms * 1e3 for name, ms in times.items()}
    best = max((rates[name] for name in (PLAIN, LEARN2LEARN) if name in rates), default=np.nan)
    return {
        "meta_batch": case.meta_batch,
        "tasks_per_second": rates,
        "ratio": {name: rate / best for name, rate in rates.items()},
        "ms": times,
        "difference": differences,
        "missing": missing,
        "refused": refused,
        "packages": packages,
    }


def table(results: dict[str, Any]) -> str:
    """Return tasks per second, and the ratio to the better of plain loop and learn2learn."""
    cases = results["cases"]
    names = list(dict.fromkeys(n for case in cases.values() for n in case["tasks_per_second"]))
    rows = []
    for name, case in cases.items():
        rates, ratio = case["tasks_per_second"], case["ratio"]
        cells = [f"{rates[n]:.1f} ({ratio[n]:.2f}x)" if n in rates else "-" for n in names]
        worst = np.max([close for close, _ in case["difference"].values()])
        rows.append([name, *cells, f"{worst:.0e}"])
    return markdown(["tasks per second", *names, "difference"], rows)


def faults(results: dict[str, Any]) -> list[str]:
    """Return a line for each contestant that was refused."""
    return [
        f"{case}: {why}" for case, f in results["cases"].items() for why in f["refused"].values()
    ]


def small(case: MetaCase) -> MetaCase:
    """Return a case that takes next to no time, to see whether all works."""
    return replace(case, meta_batch=2, width=SMALL_WIDTH, size=replace(case.size, queries=2))


def _titled(results: dict[str, Any]) -> str:
    where = results["machine"]
    packages = where["packages"] | {
        name: version
        for case in results["cases"].values()
        for of_peer in case["packages"].values()
        for name, version in of_peer.items()
        if name not in where["packages"]
    }
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    gpu = f"{where['gpu']}, " if "gpu" in where else ""
    return f"{gpu}{where['cpu']}, {where['cores']} cores, {where['threads']} threads, {versions}"


@click.command(help="Time meta-training against a plain loop and learn2learn.")
@click.option(
    "--case", "cases", multiple=True, type=click.Choice(list(CASES)), help="Default: all."
)
@click.option("--device", default="cpu", type=click.Choice(["cpu", "cuda"]))
@click.option(
    "--meta-batch", type=click.IntRange(1), help="Tasks per outer step; default: 8 or 32."
)
@click.option("--rounds", default=5, show_default=True, help="Measured rounds of each contestant.")
@click.option("--threads", default=None, type=int, help="Of every contestant; default: PyTorch's.")
@click.option("--peer", "peers", multiple=True, metavar="NAME=PYTHON", help="Another system.")
@click.option("--quick", is_flag=True, help="Tiny sizes, one round, nothing written.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(
    cases: Sequence[str],
    device: str,
    meta_batch: int | None,
    rounds: int,
    threads: int | None,
    peers: Sequence[str],
    quick: bool,
    out: Path,
) -> None:
    """Measure, print a line per case as it comes, and write table and JSON."""
    if threads is not None:
        torch.set_num_threads(threads)
    threads = torch.get_num_threads()
    pythons = dict(peer.split("=", 1) for peer in peers)
    rounds = 1 if quick else rounds
    results: dict[str, Any] = {"machine": machine(threads), "rounds": rounds, "cases": {}}
    if device == "cuda":
        results["machine"]["gpu"] = torch.cuda.get_device_name()
        prepare_gpu(torch.device(device), "float32")
    for name in cases or CASES:
        case = CASES[name]
        case = replace(case, device=device, meta_batch=meta_batch or case.meta_batch)
        found = measure_case(small(case) if quick else case, rounds, threads, pythons)
        results["cases"][name] = found
        rates = ", ".join(f"{who} {rate:.1f}" for who, rate in found["tasks_per_second"].items())
        click.echo(f"{name}, tasks/s: {rates}")
        for contestant, why in found["missing"].items():
            click.echo(f"  without {contestant}: {why}")
        for contestant, why in found["refused"].items():
            click.echo(f"  refused {contestant}: {why}")
        if not quick:
            write_json(out / "meta_throughput.json", results)
    text = f"{table(results)}\n\n{_titled(results)}"
    click.echo("\n" + text)
    if not quick:
        (out / "meta_throughput.md").write_text(text + "\n")
    if wrong := faults(results):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
