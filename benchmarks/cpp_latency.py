"""How fast the C++ runner is beside the Python one: the same bundles on the same ONNX Runtime.

python -m benchmarks.cpp_latency [--rounds 15] [--out benchmarks/results/cpp_latency.json]

Needs the C++ runner (`make cpp`). Both adapt to a support set and predict one sample, one thread
each, in alternating rounds; each process times its own calls by the clock. Times are those that
the fastest tenth of the calls stays below: others' work on the machine touches these least.

Then the C++ runner beside ONNX Runtime alone: one process predicts one sample with both in turns,
the latter with inputs that are prepared. The median of the ratios of several processes counts.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from benchmarks.contestants import compile_case
from benchmarks.models import CASES
from benchmarks.timing import Round, in_rounds, machine, markdown, write_json
from edgemeta import Runner, load
from edgemeta.errors import EdgemetaError
from edgemeta.measure.bench import support_set, timed

BINARY = Path(__file__).resolve().parents[1] / "build" / "cpp" / "edgemeta-cpp"
THREADS = 1
UNDISTURBED = 10  # percent
HEADER = ("case", "samples", "steps", "call", "Python, ms", "C++, ms", "gain")
BARE_HEADER = ("case", "predict one, ms", "ONNX Runtime alone, ms", "times as long")
PROCESSES = 5
REPEATS = 30  # of a hundred calls each


@dataclass(frozen=True)
class Work:
    """What both do: adapt `runner` to x, y, then predict the first sample."""

    name: str
    runner: Runner
    x: NDArray[Any]
    y: NDArray[Any]

    def write(self, path: Path) -> None:
        """Write it as an episode that `edgemeta-cpp serve` replays."""
        episode: dict[str, NDArray[Any]] = {
            "support_x": self.x,
            "support_y": self.y,
            "query_x": self.x[:1],
            "steps": np.array(self.runner.manifest.inner_steps, np.int64),
            "lr_scale": np.array(1, np.float32),
        }
        save_file({name: np.ascontiguousarray(a) for name, a in episode.items()}, path)


def in_python(work: Work, part: str) -> Round:
    """Time one part of the work in this process."""

    def run(calls: int) -> list[float]:
        seconds = []
        for _ in range(calls):
            learner, adapt_s = timed(lambda: work.runner.adapt(work.x, work.y, guard=False))
            _, predict_s = timed(lambda: learner.predict_logits(work.x[:1]))  # noqa: B023  # at once
            seconds.append(adapt_s if part == "adapt" else predict_s)
        return seconds

    return run


def in_cpp(server: subprocess.Popen[str], episode: Path, part: str) -> Round:
    """Time one part of the work in the C++ process."""
    out = str(episode.with_suffix(".out"))

    def run(calls: int) -> list[float]:
        request = {"op": "replay", "episode": str(episode), "out": out, "repeats": calls}
        return [ms / 1e3 for ms in ask(server, request)["ms"][part]]

    return run


def ask(server: subprocess.Popen[str], request: dict[str, Any]) -> Any:
    """Send one request, and return the answer.

    Raises:
        EdgemetaError: it is an error.
    """
    assert server.stdin is not None  # noqa: S101  # both are pipes
    assert server.stdout is not None  # noqa: S101
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    if "error" in answer:
        raise EdgemetaError("edgemeta-cpp serve failed", got=answer["error"])
    return answer


def undisturbed_ms(seconds: list[float]) -> float:
    """Return the milliseconds that the fastest tenth of the calls stays below."""
    return float(np.percentile(np.array(seconds) * 1e3, UNDISTURBED))


def works(folder: Path) -> list[Work]:
    """Return what is measured."""
    omniglot = load("omniglot", threads=THREADS)
    mlp = Runner(compile_case(CASES["mlp"], folder / "mlp"), threads=THREADS)
    x, y = support_set(omniglot, 1)
    return [
        Work("omniglot", omniglot, x[:5], y[:5]),
        Work("omniglot", omniglot, x, y),
        Work("mlp", mlp, *CASES["mlp"].support()),
    ]


def measured(work: Work, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure adapting and predicting in both."""
    episode = folder / "episode.safetensors"
    work.write(episode)
    found = []
    command = [str(BINARY), "serve", "--threads", str(THREADS)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        ask(server, {"op": "load", "bundle": str(work.runner.path)})
        for part in ("adapt", "predict"):
            both = {"python": in_python(work, part), "cpp": in_cpp(server, episode, part)}
            seconds = in_rounds(both, rounds)
            size = {"samples": len(work.x), "steps": work.runner.manifest.inner_steps}
            times = {f"{name}_ms": undisturbed_ms(each) for name, each in seconds.items()}
            found.append({"case": work.name, **size, "call": part, **times})
    return found


def beside_bare(work: Work) -> dict[str, Any]:
    """Measure predicting one sample in C++ beside ONNX Runtime alone."""
    command = [str(BINARY), "bench", str(work.runner.path), "--shots", "1", "--json", "--bare"]
    command += ["--repeats", str(REPEATS), "--threads", str(THREADS)]
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(PROCESSES)
    ]
    median = sorted((run["bare"] for run in runs), key=lambda bare: bare["ratio"])[PROCESSES // 2]
    times = {f"{name}_ms": median[name]["p50"] for name in ("predict", "bare")}
    return {"case": work.name, **times, "ratio": median["ratio"]}


@click.command(help="Time the C++ runner beside the Python one.")
@click.option("--rounds", default=15, show_default=True, help="Measured rounds of each.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures there as well.")
def main(rounds: int, out: Path | None) -> None:
    """Measure, and print a table."""
    if not BINARY.exists():
        raise click.ClickException("no C++ runner; build it: make cpp")
    where = machine(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        every = works(Path(folder))
        found = [row for work in every for row in measured(work, Path(folder), rounds)]
        bare = [beside_bare(work) for work in every[1:]]  # the first two are of one bundle
    rows = [
        [
            *(r["case"], str(r["samples"]), str(r["steps"]), r["call"]),
            *(f"{r['python_ms']:.3f}", f"{r['cpp_ms']:.3f}"),
            f"{r['python_ms'] / r['cpp_ms']:.2f}x",
        ]
        for r in found
    ]
    bare_rows = [
        [r["case"], f"{r['predict_ms']:.4f}", f"{r['bare_ms']:.4f}", f"{r['ratio']:.2f}x"]
        for r in bare
    ]
    click.echo(f"{markdown(HEADER, rows)}\n\n{markdown(BARE_HEADER, bare_rows)}")
    click.echo(f"\nOne thread; {where}")
    if out is not None:
        write_json(out, {"machine": where, "rows": found, "bare": bare})


if __name__ == "__main__":
    main()
