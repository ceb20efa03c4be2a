"""How time and memory of an adaptation grow with shots, steps, width and threads.

python -m benchmarks.scaling [--out benchmarks/results]

Conv4 is adapted while one quantity grows and the others stay. For each series the exponent p of
cost = c * size^p is fitted (least squares on logarithms). Time and memory may grow no faster than
linearly in shots and steps (p at most 1.1); with width, weights grow with its square. Each point is
a fresh process: its memory is what it came to hold at most, after the imports.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.timing import (
    fitted_exponent,
    in_rounds,
    local,
    machine,
    markdown,
    median_ms,
    write_json,
)
from edgemeta import Runner
from edgemeta.measure.cold_start import peak_mb

RESULTS = Path(__file__).parent / "results"
LINEAR = 1.1  # 0.1 is for noise and for what falls out of the cache
ROUNDS = 3
WAYS = 5


@dataclass(frozen=True)
class Point:
    """One setting of the adaptation; `shots` are samples per class."""

    shots: int = 5
    steps: int = 5
    width: int = 32
    threads: int = 1


SERIES: dict[str, tuple[int, ...]] = {
    "shots": (2, 4, 8, 16, 32),
    "steps": (2, 4, 8, 16, 32),
    "width": (8, 16, 32, 64),
    "threads": (1, 2),
}
BOUNDED = ("shots", "steps")


def measure(bundle: str, point: Point) -> dict[str, float]:
    """Return milliseconds of an adaptation, and what it makes this process hold (10^6 bytes)."""
    from benchmarks.models import Case, conv4

    case = Case("scaling", partial(conv4, point.width), (1, 28, 28), WAYS, WAYS * point.shots)
    x, y = case.support()
    before = peak_mb()
    runner = Runner(bundle, threads=point.threads)
    seconds = in_rounds(
        {"adapt": local(lambda: runner.adapt(x, y, point.steps, guard=False))}, ROUNDS
    )
    after = peak_mb()
    if before is None or after is None:
        raise SystemExit("this system does not tell how much memory a process holds")
    return {"ms": median_ms(seconds["adapt"]), "mb": after - before}


def fit(series: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the exponents of time and memory of each series."""
    return {
        name: {
            unit: fitted_exponent([p["size"] for p in points], [p[unit] for p in points])
            for unit in ("ms", "mb")
        }
        for name, points in series.items()
    }


def faults(exponents: dict[str, dict[str, float]]) -> list[str]:
    """Return a line for each cost that grows faster than linearly where it must not."""
    costs = {"ms": "time", "mb": "memory"}
    return [
        f"{costs[unit]} grows with {name} to the power of {p:.2f}, more than {LINEAR}"
        for name in BOUNDED
        for unit, p in exponents[name].items()
        if not p <= LINEAR
    ]


def chart(series: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw time and memory of each series on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(series), 5), layout="constrained")
    for row, (unit, label) in zip(
        figure.subplots(2, len(series)), (("ms", "time, ms"), ("mb", "memory, MB")), strict=True
    ):
        for axes, (name, points) in zip(row, series.items(), strict=True):
            axes.loglog([p["size"] for p in points], [p[unit] for p in points], marker="o")
            axes.set_xlabel(name)
        row[0].set_ylabel(label)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def run_all(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Measure every point of every series in a process of its own."""
    from benchmarks.contestants import compile_case
    from benchmarks.models import Case, conv4

    series: dict[str, list[dict[str, float]]] = {}
    for name, sizes in SERIES.items():
        series[name] = []
        for size in sizes:
            point = replace(Point(), **{name: size})
            make = partial(conv4, point.width)
            case = Case(f"width-{point.width}", make, (1, 28, 28), WAYS, 2 * WAYS)
            bundle = compile_case(case, folder / case.name)
            request = json.dumps(asdict(point))
            command = [sys.executable, "-m", "benchmarks.scaling", "--point", str(bundle), request]
            child = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(child.stdout)
            series[name].append({"size": size, **found})
            click.echo(f"{name} {size}: {found['ms']:.2f} ms, {found['mb']:.1f} MB")
    return series


@click.command(help="Measure how time and memory of an adaptation grow.")
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
@click.option("--point", nargs=2, default=None, hidden=True, help="Measure this one, here.")
def main(out: Path, point: tuple[str, str] | None) -> None:
    """Print each point and the exponents, write chart and JSON, fail if growth is not linear."""
    if point is not None:
        bundle, request = point
        click.echo(json.dumps(measure(bundle, Point(**json.loads(request)))))
        return
    with tempfile.TemporaryDirectory() as folder:
        series = run_all(Path(folder))
    exponents = fit(series)
    rows = [[n, f"{p['ms']:.2f}", f"{p['mb']:.2f}"] for n, p in exponents.items()]
    click.echo(markdown(["grows with", "time's exponent", "memory's exponent"], rows))
    result: dict[str, Any] = {
        "machine": machine(Point().threads),
        "start": asdict(Point()),
        "series": series,
        "exponents": exponents,
    }
    write_json(out / "scaling.json", result)
    chart(series, out / "scaling.png")
    if wrong := faults(exponents):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
