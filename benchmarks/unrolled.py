"""Whether steps written out are faster than a Loop: ms of an adaptation, and the graph's size.

python -m benchmarks.unrolled [--cases mlp] [--rounds 9] [--threads 2]
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import torch

from benchmarks.contestants import STEPS, compile_case
from benchmarks.models import CASES, Case
from benchmarks.timing import Round, in_rounds, local, markdown, median_ms
from edgemeta import Runner
from edgemeta.bundle import ADAPT
from edgemeta_export import GraphForm

DEFAULT = ("mlp", "conv4-32", "conv4-64-bn", "ds-cnn", "gru", "head-only")
KINDS = {"Loop": False, "unrolled": True}


def compiled(case: Case, path: Path, threads: int, unroll: bool) -> tuple[Round, float]:
    """Export a case; return what adapts it, and the size of its graph in kB."""
    x, y = case.support()
    runner = Runner(compile_case(case, path, GraphForm(unroll=unroll)), threads=threads)
    return local(lambda: runner.adapt(x, y, STEPS, guard=False)), (
        path / ADAPT
    ).stat().st_size / 1e3


@click.command(help="Time bundles with a Loop and with steps written out.")
@click.option("--cases", multiple=True, type=click.Choice(list(CASES)), default=DEFAULT)
@click.option("--rounds", default=9, show_default=True, help="Measured rounds of each.")
@click.option("--threads", default=2, show_default=True)
def main(cases: Sequence[str], rounds: int, threads: int) -> None:
    """Measure, and print a table."""
    torch.set_num_threads(threads)
    rows = []
    for name in cases:
        with tempfile.TemporaryDirectory() as folder:
            made = {
                kind: compiled(CASES[name], Path(folder) / kind, threads, unroll)
                for kind, unroll in KINDS.items()
            }
            seconds = in_rounds({kind: run for kind, (run, _) in made.items()}, rounds)
        loop, unrolled = (median_ms(seconds[kind]) for kind in KINDS)
        sizes = [f"{made[kind][1]:.0f}" for kind in KINDS]
        rows.append([name, f"{loop:.2f}", f"{unrolled:.2f}", f"{loop / unrolled:.2f}x", *sizes])
    header = ["case", "Loop, ms", "unrolled, ms", "gain", "Loop, kB", "unrolled, kB"]
    click.echo(markdown(header, rows))


if __name__ == "__main__":
    main()
