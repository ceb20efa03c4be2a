"""Whether adaptation has become slower than it was: ratios to eager against stored ones.

python -m benchmarks.guard [--update]

A few cheap cases are measured; how many times eager's speed edgemeta reaches is compared with
benchmarks/results/guard.json. A case fails when it falls more than a quarter below the stored
ratio in each of three repeats. Time is what the calling thread spent on a processor: where other
work goes on as well, waiting for a core would hit the longer calls most, and so the ratio. Ratios
carry over from day to day, less so from one processor to another: on a new kind of machine, store
them anew with --update.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.contestants import Eager, Edgemeta
from benchmarks.models import CASES
from benchmarks.timing import Round, in_rounds, local, machine, write_json

STORED = Path(__file__).parent / "results" / "guard.json"
GUARDED = ("mlp", "conv4-32", "head-only")
REPEATS = 3
ROUNDS = 5
THREADS = 1  # all work is then the calling thread's
UNDISTURBED = 10  # percent: the fastest tenth of the calls, which others' work touches least
LOST = 0.25  # share of the stored ratio; one repeat strays by 10-20 % on a machine in use


def slower(stored: float, measure: Callable[[], float]) -> list[float]:
    """Measure until one repeat is good enough, three times at most.

    Args:
        stored: the ratio that was.
        measure: returns the ratio that is.

    Returns:
        The ratios of all three repeats if each is too low, else nothing.
    """
    found = []
    for _ in range(REPEATS):
        found.append(measure())
        if found[-1] >= (1 - LOST) * stored:
            return []
    return found


def on_processor(call: Callable[[], Any]) -> Round:
    """Make a contestant whose seconds are those that this thread spends on a processor."""
    return local(call, time.thread_time)


def ratio(eager: Eager, edgemeta: Edgemeta) -> float:
    """Return how many times eager's speed edgemeta reaches."""
    contestants = {"eager": eager.adapt, "edgemeta": edgemeta.adapt}
    seconds = in_rounds({name: on_processor(c) for name, c in contestants.items()}, ROUNDS)
    eager_s, edgemeta_s = (np.percentile(each, UNDISTURBED) for each in seconds.values())
    return float(eager_s / edgemeta_s)


@click.command(help="Compare the speed of adaptation with the stored one.")
@click.option("--update", is_flag=True, help="Store the ratios measured now.")
def main(update: bool) -> None:
    """Check all guarded cases, or store their ratios."""
    torch.set_num_threads(THREADS)
    stored = {} if update else json.loads(STORED.read_text())["ratios"]
    ratios, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in GUARDED:
            case = CASES[name]
            eager, edgemeta = Eager(case), Edgemeta(case, THREADS, Path(folder))
            if update:
                each = [ratio(eager, edgemeta) for _ in range(REPEATS)]
                ratios[name] = float(np.median(each))
                click.echo(f"{name}: {ratios[name]:.2f} times eager")
            elif found := slower(stored[name], lambda: ratio(eager, edgemeta)):  # noqa: B023
                times = ", ".join(f"{one:.2f}" for one in found)
                failed.append(f"{name}: {times} times eager, was {stored[name]:.2f}")
            else:
                click.echo(f"{name}: no slower than {1 - LOST:.0%} of {stored[name]:.2f} x eager")
    if update:
        write_json(STORED, {"machine": machine(THREADS), "ratios": ratios})
    if failed:
        hint = "find out why; if it is meant, or the machine is another: benchmarks.guard --update"
        raise SystemExit("\n".join([*failed, hint]))


if __name__ == "__main__":
    main()
