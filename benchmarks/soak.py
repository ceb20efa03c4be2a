"""Whether a runner stands a long life: what it holds, how long it takes, what it goes through.

python -m benchmarks.soak [--cycles 100000] [--out benchmarks/results/soak.json]

The packaged bundle adapts to one drawing of each of five classes and predicts five, so many times
in one process; every thousandth learner is also frozen, saved and loaded. Then eight threads share
the runner, processes are forked and spawned that use it, and adaptations are broken off by Ctrl-C.
Each promise has its limit here; the script fails when one is not kept.

Times are those of the calling thread on a processor: what other work does to the machine would
hide a drift. A soak of a few hundred cycles is part of the test suite.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import edgemeta
from benchmarks.timing import machine, write_json
from edgemeta import Learner, Runner
from edgemeta.measure.bench import support_set

GROWTH = 0.02  # of the resident set, from the end of the warm-up on
DRIFT = 0.2  # of the median: on a busy machine one and the same code strays by a tenth or so
WARM_UP = 0.1  # share of the cycles, in which the allocators find their sizes
SAMPLES = 100  # of the resident set
SPECIAL = 1000  # every so many cycles a learner is frozen, saved and loaded as well
THREADS = 8
PATIENCE = 60  # seconds for a process that should take a few
LONG_STEPS = 10_000  # more than a second of steps


def resident_mb() -> float:
    """Return the resident set of this process in 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


def cycles(runner: Runner, count: int) -> dict[str, Any]:
    """Adapt and predict so many times; return what it took."""
    x, y = support_set(runner, 1)
    want = runner.adapt(x, y).predict_logits(x)
    seconds, held = np.empty(count), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.safetensors"
        for k in range(count):
            began = time.thread_time()
            learner = runner.adapt(x, y)
            got = learner.predict_logits(x)
            seconds[k] = time.thread_time() - began
            if not np.array_equal(got, want):
                raise SystemExit(f"cycle {k} predicts something else")
            if k % SPECIAL == 0:
                learner.freeze().save(file)
                if not np.array_equal(runner.load(file).predict_logits(x), want):
                    raise SystemExit(f"cycle {k}: a loaded state predicts something else")
            if k % max(count // SAMPLES, 1) == 0:
                held.append(resident_mb())
    warm = held[int(WARM_UP * len(held)) :]
    tenth = max(count // 10, 1)
    first, last = (np.median(part) for part in (seconds[tenth : 2 * tenth], seconds[-tenth:]))
    return {
        "cycles": count,
        "resident_mb_warm": warm[0],
        "resident_mb_end": warm[-1],
        "growth": max(warm) / warm[0] - 1,
        "median_ms_second_tenth": float(first) * 1e3,
        "median_ms_last_tenth": float(last) * 1e3,
        "drift": float(last / first) - 1,
    }


def threads(runner: Runner, count: int) -> dict[str, int]:
    """Let eight threads adapt and predict at once; return how many results had other bits."""
    tasks = [support_set(runner, shots) for shots in range(1, THREADS + 1)]
    want = [_work(runner, *task) for task in tasks]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(count):
            if not np.array_equal(_work(runner, *tasks[k]), want[k]):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"threads": THREADS, "adaptations": THREADS * count, "wrong": len(wrong)}


def processes(runner: Runner, method: str, count: int) -> dict[str, int]:
    """Use a runner and a frozen learner in other processes; return how many got other bits."""
    x, y = support_set(runner, 1)
    frozen = runner.adapt(x, y).freeze()
    want = (_work(runner, x, y), frozen.predict_logits(x))
    context = multiprocessing.get_context(method)
    wrong = 0
    for _ in range(count):
        ours, theirs = context.Pipe()
        child = context.Process(target=_in_child, args=(theirs, runner, frozen, x, y))  # type: ignore[attr-defined]
        child.start()
        answered = ours.poll(PATIENCE)
        got = ours.recv() if answered else None
        child.join(PATIENCE)
        same = got is not None and all(map(np.array_equal, got, want))
        wrong += not (same and child.exitcode == 0)
        child.kill()
    return {"processes": count, "wrong": wrong}


def _in_child(pipe: Any, runner: Runner, frozen: Learner, x: Any, y: Any) -> None:
    pipe.send((_work(runner, x, y), frozen.predict_logits(x)))


def _work(runner: Runner, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
    return runner.adapt(x, y).predict_logits(x)


def interrupts(count: int) -> dict[str, float]:
    """Break off adaptations by Ctrl-C; return how many left no usable runner, and the wait."""
    rng = np.random.default_rng(0)
    broken, waits = 0, []
    for _ in range(count):
        command = [sys.executable, "-c", "from benchmarks import soak; soak.interrupted()"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            end = threading.Timer(PATIENCE, child.kill)
            end.start()
            said = iter(child.stdout or ())
            next(said, None)  # it is about to adapt
            time.sleep(rng.uniform(0, 0.5))
            child.send_signal(signal.SIGINT)
            began = time.perf_counter()
            lines = [next(said, None)]
            waits.append(time.perf_counter() - began)
            lines += said
            end.cancel()
        broken += lines != ["interrupted\n", "usable\n"] or child.returncode != 0
    return {"interrupts": count, "broken": broken, "longest_wait_s": max(waits)}


def interrupted() -> None:
    """Adapt until Ctrl-C comes, and once more: what `interrupts` starts."""
    # A process that a shell started in the background ignores Ctrl-C, and so would this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    runner = edgemeta.load("omniglot", threads=1)
    x, y = support_set(runner, 20)
    want = _work(runner, x[:5], y[:5])
    try:
        print("ready", flush=True)
        while True:
            runner.adapt(x, y, steps=LONG_STEPS, lr_scale=0.01)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    if np.array_equal(_work(runner, x[:5], y[:5]), want):
        print("usable", flush=True)


def kept(found: Mapping[str, Any]) -> list[str]:
    """Return the promises that were not kept."""
    checks = {
        f"memory grows by less than {GROWTH:.0%}": found["cycles"]["growth"] < GROWTH,
        f"latency drifts by less than {DRIFT:.0%}": found["cycles"]["drift"] < DRIFT,
        "eight threads get the bits that one gets": not found["threads"]["wrong"],
        "a forked process gets the same bits": not found["fork"]["wrong"],
        "a spawned process gets the same bits": not found["spawn"]["wrong"],
        "Ctrl-C leaves a usable runner": not found["interrupts"]["broken"],
    }
    return [promise for promise, held in checks.items() if not held]


def soak(count: int) -> dict[str, Any]:
    """Put a runner through everything, in proportion to so many cycles."""
    runner = edgemeta.load("omniglot", threads=1)
    few = max(count // 2000, 1)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "cycles": lambda: cycles(runner, count),
        "threads": lambda: threads(runner, max(count // 100, 10)),
        "fork": lambda: processes(edgemeta.load("omniglot", threads=2), "fork", few),
        "spawn": lambda: processes(runner, "spawn", few),
        "interrupts": lambda: interrupts(few),
    }
    found: dict[str, Any] = {}
    for name, part in parts.items():
        began = time.perf_counter()
        found[name] = part()
        found[name]["took_s"] = round(time.perf_counter() - began, 1)
        click.echo(f"{name}: {found[name]}")
    return found


@click.command(help="Put a runner through a long life.")
@click.option("--cycles", "count", default=100_000, show_default=True)
@click.option("--out", type=click.Path(path_type=Path))
def main(count: int, out: Path | None) -> None:
    """Measure, write, and fail where a promise was not kept."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for those that are spawned
    found = soak(count)
    if out is not None:
        write_json(out, {"machine": machine(1), **found})
    if broken := kept(found):
        raise SystemExit("not kept: " + "; ".join(broken))


if __name__ == "__main__":
    main()
