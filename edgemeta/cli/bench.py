"""`edgemeta bench`: latency and memory of a bundle on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgemeta.bench import ColdStart, Speed, measure, measure_cold_start
from edgemeta.cli.options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli.table import table
from edgemeta.runner import Runner


@click.command()
@bundle_argument
@click.option(
    "--shots",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 5),
    show_default=True,
    help="Support samples per class (regression: in all); may be given more than once.",
)
@click.option("--steps", type=click.IntRange(min=0), help="Inner steps. [default: the bundle's]")
@click.option(
    "--repeats",
    type=click.IntRange(min=2),
    default=50,
    show_default=True,
    help="Measured calls of each.",
)
@threads_option
@json_option
def bench(
    bundle: Path,
    shots: tuple[int, ...],
    steps: int | None,
    repeats: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure adapting, predicting one sample, a cold start and the memory of BUNDLE.

    \b
    Example:
      edgemeta bench bundles/glyphs --shots 1 --shots 5 --threads 1
    """
    runner = Runner(bundle, threads=threads)
    speeds = [measure(runner, shots=n, steps=steps, repeats=repeats) for n in shots]
    cold = measure_cold_start(runner, shots=shots[0], steps=steps, threads=threads)
    if as_json:
        record = {
            "bundle": runner.fingerprint,
            "threads": threads,
            "repeats": repeats,
            "latency_ms": [asdict(speed) for speed in speeds],
            "cold_start": asdict(cold),
        }
        say_json(record)
        return
    click.echo(_latency_table(speeds))
    click.echo(_cold_start_text(cold))


def _latency_table(speeds: list[Speed]) -> str:
    header = ["shots", "samples", "steps", "adapt p50", "p95", "predict one p50", "p95"]
    rows: list[list[object]] = [
        [
            s.shots,
            s.samples,
            s.steps,
            *(_Milliseconds(ms) for ms in (s.adapt.p50, s.adapt.p95, s.predict.p50, s.predict.p95)),
        ]
        for s in speeds
    ]
    return table(header, rows)


def _cold_start_text(cold: ColdStart) -> str:
    text = (
        f"cold start {cold.total_ms:.0f} ms: imports {cold.import_ms:.0f}, "
        f"load {cold.load_ms:.0f}, first adapt {cold.adapt_ms:.1f}, "
        f"first predict {cold.predict_ms:.1f}"
    )
    if cold.peak_mb is None or cold.bundle_mb is None:
        return text
    return f"{text}\npeak memory {cold.peak_mb:.0f} MB, {cold.bundle_mb:.0f} MB of it the bundle's"


class _Milliseconds(float):
    """A number that a table shows with its unit."""

    def __str__(self) -> str:
        return f"{float(self):.2f} ms"
