"""What each setting of a session is worth: time, processor time, and memory.

python -m benchmarks.session_settings [--rounds 9] [--out benchmarks/results/session_settings.md]

Each variant differs from the runner's own settings in one thing. All variants of a case are loaded
into one process and take turns; times are medians of one adaptation (5 steps). "Wall" is what the
caller waits, "processor" what all threads spend in it, and "idle" what they go on spending within
50 ms after it, which is taken from whatever else the device does. Memory is what a fresh process
that adapts eleven times comes to hold beyond one that has only loaded the bundle.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import click
import numpy as np
import onnxruntime
from onnxruntime import SessionOptions

from benchmarks.timing import machine, markdown
from edgemeta import Runner
from edgemeta.device import sessions
from edgemeta.measure.bench import support_set
from edgemeta.measure.cold_start import peak_mb

DEFAULT = ("mlp", "gru", "conv4-32", "conv4-64-bn")
THREADS = 2
STEPS = 5
SHOTS = 1  # of each class
CALLS = 10  # in a round
IDLE = 0.05  # seconds
REPEATS = 11


def _entry(name: str, value: str) -> Callable[[SessionOptions], None]:
    return lambda options: options.add_session_config_entry(f"session.{name}", value)


def _spinning(stop: str) -> Callable[[SessionOptions], None]:
    def change(options: SessionOptions) -> None:
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", stop)

    return change


def _attribute(name: str, value: object) -> Callable[[SessionOptions], None]:
    return lambda options: setattr(options, name, value)


VARIANTS: dict[str, Callable[[SessionOptions], None]] = {
    "as the runner has it": lambda options: None,
    "one thread": _attribute("intra_op_num_threads", 1),
    "spinning within the call": _spinning("1"),
    "spinning on after the call": _spinning("0"),
    "an arena of its own": _entry("use_env_allocators", "0"),
    "memory patterns": _attribute("enable_mem_pattern", True),
    "reuse of buffers": _attribute("enable_mem_reuse", True),
}


def runner_with(path: Path, variant: str) -> Runner:
    """Load a bundle with one setting changed."""
    onnxruntime.set_default_logger_severity(sessions.ERRORS_ONLY)  # it warns of a changed setting
    plain = sessions.session_options

    def changed(threads: int) -> SessionOptions:
        options = plain(threads)
        VARIANTS[variant](options)
        return options

    with mock.patch.object(sessions, "session_options", changed):
        return Runner(path, threads=THREADS)


def measured(name: str, path: Path, rounds: int) -> list[list[str]]:
    """Return the rows of one case."""
    runners = {variant: runner_with(path, variant) for variant in VARIANTS}
    x, y = support_set(next(iter(runners.values())), SHOTS)
    found: dict[str, list[tuple[float, float, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant, runner in runners.items():
            runner.adapt(x, y, STEPS, guard=False)
            time.sleep(IDLE)
            for _ in range(CALLS):
                wall, spent = time.perf_counter(), time.process_time()
                runner.adapt(x, y, STEPS, guard=False)
                took = time.perf_counter() - wall, time.process_time() - spent
                began = time.process_time()
                time.sleep(IDLE)
                found[variant].append((*took, time.process_time() - began))
    rows = []
    for variant, values in found.items():
        command = [sys.executable, "-m", "benchmarks.session_settings", "--held", str(path)]
        grown = subprocess.run([*command, variant], capture_output=True, text=True, check=True)
        columns = [f"{value:.2f}" for value in np.median(np.array(values), axis=0) * 1e3]
        rows.append([f"{name}: {variant}", *columns, f"{float(grown.stdout):.1f}"])
    return rows


def held(path: str, variant: str) -> None:
    """Print by how many 10^6 bytes adapting lets this process grow."""
    runner = runner_with(Path(path), variant)
    x, y = support_set(runner, SHOTS)
    before = peak_mb()
    for _ in range(REPEATS):
        runner.adapt(x, y, STEPS, guard=False)
    after = peak_mb()
    if before is None or after is None:
        raise SystemExit("this system does not tell how much memory a process holds")
    print(after - before)


@click.command(help="Time adaptations with one setting of the session changed.")
@click.option("--cases", multiple=True, default=DEFAULT, help="Of `benchmarks.models`.")
@click.option("--rounds", default=9, show_default=True, help="Measured rounds of each.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table there as well.")
def main(cases: Sequence[str], rounds: int, out: Path | None) -> None:
    """Measure, and print a table."""
    from benchmarks.contestants import compile_case  # the processes for memory need no PyTorch
    from benchmarks.models import CASES

    where = machine(THREADS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in cases:
            path = compile_case(CASES[name], Path(folder) / name)
            rows += measured(name, path, rounds)
            click.echo(rows[-len(VARIANTS)])
    header = ["case and setting", "wall, ms", "processor, ms", "idle, ms", "memory, MB"]
    text = f"{markdown(header, rows)}\n\n{THREADS} threads; {where}\n"
    click.echo(text)
    if out is not None:
        out.write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--held"]:
        held(*sys.argv[2:])
    else:
        main()
