"""What recording the outer gradient saves: processor time with and without.

python -m benchmarks.recorded [--rounds 3] [--case mlp-maml-5]

The cases of `benchmarks/meta_throughput.py`, one thread, all tasks at once for the mlp and one by
one for conv4. Both ways take turns, each a few times a round, and the median of the processor
time counts, which other work on the machine does not lengthen much. The gradients have to be the
same bits; docs/meta-training.md shows the table.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from benchmarks.meta_contestants import CASES, MetaCase, engine_of
from benchmarks.timing import machine, markdown, write_json
from edgemeta.measure.bench import timed
from edgemeta.meta.outer._engine import Plan

RESULT = Path(__file__).parent / "results" / "recorded.json"
CALLS = 3  # of each way in a round


def measure(case: MetaCase, rounds: int) -> dict[str, float]:
    """Return milliseconds of processor time for each task, and what recording takes once."""
    engine, tasks, ask = engine_of(case, threads=1)
    chunk = 1 if case.network == "conv4" else case.meta_batch
    if chunk == 1:  # all are alike
        tasks = tasks.select(slice(1))
    share = 1 / len(tasks.support_x)

    def step() -> None:
        engine.drop_gradients()
        engine.accumulate(tasks, ask, share)

    spent: dict[bool, list[float]] = {False: [], True: []}
    gradients = {}
    recording = 0.0
    for k in range(rounds + 1):
        for is_recorded in spent:
            engine.use(Plan(chunk, 1, is_recorded))
            seconds = [timed(step, time.process_time)[1] for _ in range(CALLS)]
            gradients[is_recorded] = [
                leaf.grad.clone() for leaf in engine.leaves if leaf.grad is not None
            ]
            if k:  # the first round warms up, and records
                spent[is_recorded] += seconds
            elif is_recorded:
                recording = seconds[0]
    if not all(map(torch.equal, gradients[False], gradients[True])):
        raise SystemExit(f"{case}: a record gives other gradients")
    plain, recorded = (
        float(np.median(spent[is_recorded])) * 1e3 * share for is_recorded in (False, True)
    )
    return {"plain_ms": plain, "recorded_ms": recorded, "recording_s": recording}


def table(results: dict[str, Any]) -> str:
    """Return the results as a table."""
    rows = [
        [
            name,
            f"{case['plain_ms']:.2f}",
            f"{case['recorded_ms']:.2f}",
            f"{case['plain_ms'] / case['recorded_ms']:.2f}x",
            f"{case['recording_s']:.1f}",
        ]
        for name, case in results["cases"].items()
    ]
    return markdown(["ms a task", "autograd", "record", "gain", "recording, s"], rows)


@click.command(help="Measure what recording saves.")
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)))
@click.option("--rounds", default=3, show_default=True)
def main(cases: tuple[str, ...], rounds: int) -> None:
    """Measure, write and print."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {"machine": machine(1), "rounds": rounds, "cases": {}}
    for name in cases or CASES:
        results["cases"][name] = measure(CASES[name], rounds)
    if not cases:
        write_json(RESULT, results)
    click.echo(table(results))


if __name__ == "__main__":
    main()
