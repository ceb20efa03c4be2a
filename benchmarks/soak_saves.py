"""Kill a process at random moments while it saves, and see what is left.

python -m benchmarks.soak_saves [--kills N]

A child saves one of two states over and over to the same file. It is killed with SIGKILL, at a
moment drawn at random, N times. After each kill the file must be one of the two, whole, and load;
the next save must remove what the killed one left beside it. Prints one line of JSON; exit code 1
on a failure.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

import edgemeta

NAME = "state.safetensors"
WAYS = 400  # of the state: 0.4 MB, so that a write takes a while
LONGEST = 0.06  # seconds between two kills at most: several saves
STEPS = (0, 1)  # the two states: the init, and after one inner step


def learners() -> list[edgemeta.Learner]:
    """Return the two learners whose states are saved."""
    runner = edgemeta.load("omniglot", threads=1)  # no pool of threads: it may fork
    x = np.random.default_rng(0).integers(0, 256, (WAYS, 28, 28), np.uint8)
    return [runner.adapt(x, np.arange(WAYS), steps=steps) for steps in STEPS]


def soak(kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill a saving child so many times.

    Returns:
        kills: how many there were; mid_save: how many left a temporary file, so hit a save; old and
        new: how often the file was the first and the second state; damaged: how often it was
        neither; left_over: temporary files after one more save, in the end.
    """
    rng, runner, two = random.Random(seed), edgemeta.load("omniglot", threads=1), learners()  # noqa: S311
    wanted = [learner.state_dict() for learner in two]
    found = {"kills": kills, "mid_save": 0, "old": 0, "new": 0, "damaged": 0}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        two[0].save(path)
        for _ in range(kills):
            before = set(path.parent.glob(f".{NAME}.*"))
            _save_and_kill(path, two, rng.uniform(0, LONGEST))
            found["mid_save"] += bool(set(path.parent.glob(f".{NAME}.*")) - before)
            found[_which(path, runner, wanted)] += 1
        two[0].save(path)
        left_over = len(list(path.parent.iterdir())) - 1
    return {**found, "left_over": left_over, "seconds": round(time.monotonic() - began, 1)}


def _save_and_kill(path: Path, two: list[edgemeta.Learner], seconds: float) -> None:
    """Fork a child that saves the two in turn, and kill it after so many seconds."""
    child = os.fork()
    if child == 0:
        while True:
            for learner in reversed(two):
                learner.save(path)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _which(path: Path, runner: edgemeta.Runner, wanted: list[dict[str, Any]]) -> str:
    """Say which of the two states a file holds."""
    try:
        state = runner.load(path).state_dict()
    except edgemeta.EdgemetaError as error:
        click.echo(str(error), err=True)
        return "damaged"
    for name, each in zip(("old", "new"), wanted, strict=True):
        if all(np.array_equal(state[tensor], value) for tensor, value in each.items()):
            return name
    return "damaged"


@click.command(help="Kill a process while it saves; the file must stay whole.")
@click.option("--kills", default=500, show_default=True)
def main(kills: int) -> None:
    """Soak."""
    found = soak(kills)
    click.echo(json.dumps(found))
    sys.exit(1 if found["damaged"] or found["left_over"] else 0)


if __name__ == "__main__":
    main()
