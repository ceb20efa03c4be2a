"""Coverage-guided fuzzing of everything that reads a file from outside.

python -m tests.fuzz.campaign [--inputs N] [--out FILE]

Needs the extra `fuzz`. Each target runs in a process of its own under atheris (libFuzzer), which
keeps inputs that reach new lines of edgemeta and mutates them further; half of the mutations are
libFuzzer's, half know the structure of the file. Then the graphs that our reader accepts go to
onnxruntime. Writes benchmarks/results/fuzz.json, whose figures SECURITY.md repeats, or another.
An input that broke something is kept, and the exit code is 1. Times are those of a processor.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "fuzz.json"
SHARES = {"manifest": 0.35, "state": 0.3, "selftest": 0.2, "graph": 0.15}
"""Of all inputs; an input of `graph` takes the most time."""
MOST_SECONDS = 1.0  # that one input may take
MOST_BYTES = 65_536  # of one input: several times the seeds
SESSIONS = 0.01  # graphs for onnxruntime, in place of so many other inputs


@click.command(help="Fuzz all readers, guided by coverage.")
@click.option("--inputs", default=400_000, show_default=True, help="Over all targets.")
@click.option("--seed", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="The result file.")
@click.option("--target", hidden=True, help="Fuzz one, in this process.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(inputs: int, seed: int, out: Path, target: str | None, folder: Path | None) -> None:
    """Run all targets, or one."""
    if target is not None:
        assert folder is not None
        fuzz(target, inputs, seed, folder)
        return
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        for name, share in SHARES.items():
            found[name] = run_target(name, int(inputs * share), seed, Path(made) / name)
            click.echo(f"{name}: {json.dumps(found[name])}")
    from tests.fuzz.sessions import run_sessions

    found["session"] = run_sessions(int(inputs * SESSIONS), seed)
    click.echo(f"session: {json.dumps(found['session'])}")
    readers = [found[name] for name in SHARES]
    result = {
        "inputs": sum(each["inputs"] for each in found.values()),
        "crashes": sum(each["crashes"] for each in found.values()),
        "longest_ms": max(each["longest_ms"] for each in readers),
        "targets": found,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    slow = result["longest_ms"] > MOST_SECONDS * 1e3 or found["session"]["hangs"]
    sys.exit(1 if result["crashes"] or slow else 0)


def run_target(name: str, inputs: int, seed: int, folder: Path) -> dict[str, Any]:
    """Fuzz one target in a child process, and read what it found."""
    (folder / "corpus").mkdir(parents=True)
    options = ["--target", name, "--inputs", str(inputs), "--seed", str(seed)]
    command = [sys.executable, "-m", "tests.fuzz.campaign", *options, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    found["crashes"] = int(done.returncode != 0)
    found["kept_inputs"] = len(list((folder / "corpus").iterdir()))
    if done.returncode:
        kept = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        for path in folder.glob("crash-*"):
            (kept / path.name).write_bytes(path.read_bytes())
        click.echo(
            f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\nthe input is in {kept}", err=True
        )
    return found


def fuzz(name: str, inputs: int, seed: int, folder: Path) -> None:
    """Feed one target until `inputs` are done; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["edgemeta"]):
        from tests.fuzz.targets import TARGETS
    target, began = TARGETS[name], time.monotonic()
    found = {"inputs": 0, "accepted": 0, "longest_ms": 0.0, "seconds": 0.0}
    for index, content in enumerate(target.seeds()):
        (folder / "corpus" / f"seed-{index}").write_bytes(content)

    def note() -> None:
        found["seconds"] = round(time.monotonic() - began, 1)
        (folder / "found.json").write_text(json.dumps(found))

    def feed(content: bytes) -> None:
        start = time.thread_time()  # of this process: the machine has other work
        accepted = target.accepts(content)
        spent = (time.thread_time() - start) * 1e3
        found["inputs"] += 1
        found["accepted"] += accepted
        found["longest_ms"] = max(found["longest_ms"], round(spent, 1))
        if found["inputs"] % 1000 == 0 or found["inputs"] >= inputs:
            note()

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311
        if rng.random() < 0.5:
            return bytes(atheris.Mutate(content, most))
        return target.mutated(content, rng)[:most]

    note()  # should the first input be the last
    options = [f"-runs={inputs}", f"-seed={seed}", f"-max_len={MOST_BYTES}", "-len_control=0"]
    options += ["-timeout=20", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/"]
    arguments = ["fuzz", *options, str(folder / "corpus")]
    atheris.Setup(arguments, feed, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
