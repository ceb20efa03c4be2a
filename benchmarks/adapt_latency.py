"""How fast an adaptation is: edgemeta against PyTorch eager, torch.compile, and peers.

python -m benchmarks.adapt_latency [--cases mlp --cases gru] [--rounds 7] [--threads 2]

One adaptation is five SGD steps (cross entropy, float32, learning rate 0.01) on all parameters, or
on the last parts of a model whose first parts are frozen; the weights are reset each time. edgemeta
goes through `Runner.adapt`, which also computes the loss after the last step; the others do not.

All contestants run in one process run, in alternating rounds: the thread pools of PyTorch and of
onnxruntime spin on after a call and would disturb each other, so a round is a tenth of a second of
calls of one contestant after a pause, the first fifth is dropped, and medians are taken. Peers live
in processes of their own and only compute in their turn.

"eager" is the plain functional loop, which runs frozen parts again at each step; where parts are
frozen, "eager, features kept" runs them once, as torch.compile's contestant and edgemeta do.
The floor is no contestant: it is what 3 x steps x one forward inference costs with constant weights
on onnxruntime (frozen parts once), a backward pass being two forward ones.

Every contestant's adapted weights and loss are compared with eager's in float64. On a machine that
others use as well, PyTorch's barriers suffer most: look at the load in the JSON before believing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.contestants import (
    STEPS,
    Adapted,
    Compiled,
    Contestant,
    Eager,
    Edgemeta,
    Forward,
    Peer,
)
from benchmarks.models import CASES, Case
from benchmarks.timing import (
    Round,
    in_rounds,
    machine,
    markdown,
    median_ms,
    relative_difference,
    write_json,
)
from edgemeta.errors import EdgemetaError

RESULTS = Path(__file__).parent / "results"
TOLERANCE = 1e-3  # relative; float32 and five steps come to 1e-5, a wrong gradient to 1e-2
MARGIN = 2  # times what eager itself differs in float32: ResNet-12 magnifies rounding
MOST = 0.1  # that is allowed at all: beyond it, nothing is compared any more
OVERHEAD_CALLS = 20
MESSAGE = 300  # characters of a compiler's error that are worth keeping

EAGER, KEPT, COMPILED, EDGEMETA = "eager", "eager, features kept", "torch.compile", "edgemeta"
FORWARD, FROZEN_FORWARD = "forward", "forward of frozen parts"


def measure_case(
    case: Case, rounds: int, threads: int, peers: dict[str, str], folder: Path
) -> dict[str, Any]:
    """Time all contestants on one case, and compare what they come to.

    Returns:
        Milliseconds, ratio to eager (larger is faster) and difference by contestant, the floor in
        milliseconds, why a contestant is missing, and what edgemeta costs around an adaptation.
    """
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {EAGER: Eager(case)}
        missing: dict[str, str] = {}
        if case.frozen:
            contestants[KEPT] = Eager(case, keep_features=True)
        try:
            contestants[COMPILED] = Compiled(case)
        except Exception as error:  # what it cannot compile is a result too
            missing[COMPILED] = " ".join(f"{type(error).__name__}: {error}".split())[:MESSAGE]
        try:
            contestants[EDGEMETA] = Edgemeta(case, threads, folder)
        except EdgemetaError as error:
            missing[EDGEMETA] = str(error)
        for name, python in peers.items():
            try:
                contestants[name] = stack.enter_context(Peer(name, python, case, threads))
            except ValueError as error:
                missing[name] = str(error)
        seconds = in_rounds(
            {n: c.run for n, c in contestants.items()} | forwards(case, threads), rounds
        )
        reference = Eager(case, torch.float64, keep_features=True).result()
        differences = {n: difference(c.result(), reference) for n, c in contestants.items()}
        edgemeta = contestants.get(EDGEMETA)
        overhead, around = None, None
        if isinstance(edgemeta, Edgemeta):
            overhead = edgemeta.overhead_us(OVERHEAD_CALLS)
            around = edgemeta.around(threads)
    times = {name: median_ms(each) for name, each in seconds.items()}
    floor = times.pop(FROZEN_FORWARD, 0.0) + 3 * STEPS * times.pop(FORWARD)
    return {
        "samples": case.samples,
        "ms": times,
        "ratio": {name: times[EAGER] / ms for name, ms in times.items()},
        "floor_ms": floor,
        "difference": differences,
        "missing": missing,
        "overhead_us": overhead,
        "around": around,
    }


def forwards(case: Case, threads: int) -> dict[str, Round]:
    """Return the floor's contestants: inference of the parts that adapt, and of those frozen."""
    eager = Eager(case, keep_features=True)
    found = {FORWARD: Forward(eager.tail, eager.features(), threads).run}
    if case.frozen:
        found[FROZEN_FORWARD] = Forward(eager.body, eager.x, threads).run
    return found


def difference(got: Adapted, want: Adapted) -> float:
    """Return the largest relative difference of any adapted tensor, or of the loss."""
    return relative_difference(
        got.params | {"loss": np.array(got.loss)}, want.params | {"loss": np.array(want.loss)}
    )


def table(results: dict[str, Any]) -> str:
    """Return the results as markdown: milliseconds, and how many times eager's speed."""
    cases = results["cases"]
    names = list(dict.fromkeys(name for case in cases.values() for name in case["ms"]))
    rows = []
    for name, case in cases.items():
        cells = [
            f"{case['ms'][n]:.2f} ({case['ratio'][n]:.2f}x)" if n in case["ms"] else "-"
            for n in names
        ]
        worst = np.max(list(case["difference"].values()))
        rows.append([name, f"{case['samples']}", *cells, f"{case['floor_ms']:.2f}", f"{worst:.0e}"])
    return markdown(["case", "samples", *names, "floor", "difference"], rows)


def overhead_line(results: dict[str, Any]) -> str:
    """Return what `Runner.adapt` adds to the session's own run, in each case."""
    found = [
        f"{name} {case['overhead_us']:.0f}"
        for name, case in results["cases"].items()
        if case["overhead_us"] is not None
    ]
    return "Runner.adapt adds to the session's own run, us (median): " + ", ".join(found)


def faults(results: dict[str, Any]) -> list[str]:
    """Return a line for each contestant whose result is not eager's in float64.

    Where eager in float32 is far from it as well, others may be as far. A case that edgemeta cannot
    compile is a fault too; what others cannot do is only told.
    """
    failed = [
        f"{case}: {found['missing'][EDGEMETA]}"
        for case, found in results["cases"].items()
        if EDGEMETA in found["missing"]
    ]
    return failed + [
        f"{case}: {name} is {apart:.1e} away from eager in float64, more than {allowed:.0e}"
        for case, found in results["cases"].items()
        for allowed in [min(max(TOLERANCE, MARGIN * found["difference"].get(EAGER, 0)), MOST)]
        for name, apart in found["difference"].items()
        if not apart <= allowed  # also where it is not a number
    ]


def chart(results: dict[str, Any], path: Path) -> None:
    """Draw how many times eager's speed each contestant reaches."""
    from matplotlib.figure import Figure

    cases = results["cases"]
    names = list(dict.fromkeys(n for case in cases.values() for n in case["ratio"] if n != EAGER))
    figure = Figure(figsize=(8, 1 + 0.6 * len(cases)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(names)
    for k, name in enumerate(names):
        places = [row + (k - (len(names) - 1) / 2) * height for row in range(len(cases))]
        axes.barh(places, [c["ratio"].get(name, 0) for c in cases.values()], height, label=name)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(cases)), [f"{n}, {c['samples']} samples" for n, c in cases.items()])
    axes.invert_yaxis()
    axes.set_xlabel("times the speed of PyTorch eager (1: as fast)")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


@click.command(help="Time adaptation against PyTorch and peers.")
@click.option("--cases", multiple=True, type=click.Choice(list(CASES)), help="Default: all.")
@click.option("--rounds", default=7, show_default=True, help="Measured rounds of each contestant.")
@click.option("--threads", default=2, show_default=True, help="Of every contestant.")
@click.option("--peer", "peers", multiple=True, metavar="NAME=PYTHON", help="Another system.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(cases: Sequence[str], rounds: int, threads: int, peers: Sequence[str], out: Path) -> None:
    """Measure, print a line per case as it comes, and write table, chart and JSON."""
    torch.set_num_threads(threads)
    pythons = dict(peer.split("=", 1) for peer in peers)
    results: dict[str, Any] = {"machine": machine(threads), "rounds": rounds, "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in cases or CASES:
            found = measure_case(CASES[name], rounds, threads, pythons, Path(folder))
            results["cases"][name] = found
            times = ", ".join(f"{who} {ms:.2f}" for who, ms in found["ms"].items())
            click.echo(f"{name}, ms: {times}")
            for contestant, why in found["missing"].items():
                click.echo(f"  without {contestant}: {why}")
            write_json(out / "adapt_latency.json", results)
    text = table(results) + "\n\n" + overhead_line(results)
    (out / "adapt_latency.md").write_text(text + "\n")
    click.echo("\n" + text)
    chart(results, out / "adapt_latency.png")
    if wrong := faults(results):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
