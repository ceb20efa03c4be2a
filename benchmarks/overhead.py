"""What the guard, a log and an observer add to one adaptation: microseconds of the calling thread.

python -m benchmarks.overhead [--out benchmarks/results/overhead.md]

Measured beside the adaptation itself, of an mlp with 40,000 adapted weights and one step, which is
among the shortest there are. Each figure is the fastest tenth of many loops, which others' work
touches least.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.contestants import compile_case
from benchmarks.guard import UNDISTURBED
from benchmarks.models import CASES
from benchmarks.timing import machine, markdown
from edgemeta import Runner
from edgemeta.device.events import LOG, emit
from edgemeta.device.guard import check_progress

CASE = CASES["mlp"]
THREADS = 1  # all work is then the calling thread's
STEPS = 1
LOOPS, CALLS = 40, 10


def fastest_us(call: Callable[[], Any]) -> float:
    """Return the microseconds of one call, in the fastest tenth of the loops."""
    seconds = []
    for _ in range(LOOPS):
        began = time.thread_time()
        for _ in range(CALLS):
            call()
        seconds.append((time.thread_time() - began) / CALLS)
    return float(np.percentile(np.array(seconds), UNDISTURBED)) * 1e6


@click.command(help="Time what watches an adaptation.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table there as well.")
def main(out: Path | None) -> None:
    """Measure, and print a table."""
    LOG.propagate = False
    LOG.addHandler(logging.NullHandler())
    x, y = CASE.support()
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(compile_case(CASE, Path(folder) / CASE.name), threads=THREADS)
        learner, init = runner.adapt(x, y, STEPS, guard=False), runner.init

        def event(observe: Callable[[Any], None] | None = None) -> None:
            emit(observe, "adapt", runner.path, time.perf_counter(), len(x), learner.losses)

        found = {
            "an adaptation": fastest_us(lambda: runner.adapt(x, y, STEPS, guard=False)),
            "the guard": fastest_us(lambda: check_progress(init, learner, y)),
            "an event that nobody wants": fastest_us(event),
            "an event for an observer": fastest_us(lambda: event(lambda event: None)),
        }
        LOG.setLevel(logging.INFO)
        found["an event for a log"] = fastest_us(event)
    whole = found["an adaptation"]
    rows = [[name, f"{us:.1f}", f"{us / whole:.1%}"] for name, us in found.items()]
    text = f"{markdown(['what', 'us', 'share'], rows)}\n\n{machine(THREADS)}\n"
    click.echo(text)
    if out is not None:
        out.write_text(text)


if __name__ == "__main__":
    main()
