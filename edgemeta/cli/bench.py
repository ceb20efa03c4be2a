"""`edgemeta bench`: latency and memory of a bundle on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgemeta.cli._options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli._table import printable, table
from edgemeta.device.runner import Runner
from edgemeta.measure.bench import ColdStart, Speed, measure, measure_cold_start
from edgemeta.measure.bench_record import BenchRecord, Ratio, ratios, read_record, write_record


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
@click.option(
    "--record",
    is_flag=True,
    help="Store the figures in BUNDLE, so that other machines can be compared.",
)
@threads_option
@json_option
def bench(
    bundle: Path,
    shots: tuple[int, ...],
    steps: int | None,
    repeats: int,
    record: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure adapting, predicting one sample, a cold start and the memory of BUNDLE.

    If BUNDLE has recorded figures, for example from the desk, the new ones are compared with them:
    a ratio of 2 means twice as slow as there.

    \b
    Example:
      edgemeta bench bundles/glyphs --threads 1 --record
      edgemeta bench omniglot --threads 1
    """
    runner = Runner(bundle, threads=threads)
    earlier = None if record else read_record(bundle, runner.fingerprint)
    speeds = [measure(runner, shots=n, steps=steps, repeats=repeats) for n in shots]
    cold = measure_cold_start(runner, shots=shots[0], steps=steps, threads=threads)
    here = BenchRecord.here(runner.fingerprint, threads, speeds)
    if record:
        write_record(bundle, here)
    if as_json:
        found = {
            "bundle": runner.fingerprint,
            "threads": threads,
            "repeats": repeats,
            "latency_ms": [asdict(speed) for speed in speeds],
            "cold_start": asdict(cold),
        }
        say_json(found | ({} if earlier is None else {"recorded": _comparison(here, earlier)}))
        return
    click.echo(_latency_table(speeds))
    click.echo(_cold_start_text(cold))
    if earlier is not None:
        click.echo(_comparison_text(here, earlier))


def _comparison(here: BenchRecord, there: BenchRecord) -> dict[str, Any]:
    compared = [
        {"samples": r.here.samples, "steps": r.here.steps, "adapt": r.adapt, "predict": r.predict}
        for r in ratios(list(here.speeds), there)
    ]
    return asdict(there) | {"here_over_there": compared}


def _comparison_text(here: BenchRecord, there: BenchRecord) -> str:
    """Return a table of what was measured here and there, and their ratio."""
    place = printable(f"here:  {_place(here)}\nthere: {_place(there)}")
    found = ratios(list(here.speeds), there)
    if not found:
        sizes = ", ".join(f"{s.samples} samples in {s.steps} steps" for s in there.speeds)
        return f"\n{place}\nnothing to compare: it has {sizes}"
    header = ["samples", "steps", "adapt here", "there", "ratio", "predict here", "there", "ratio"]
    return f"\n{place}\n{table(header, [_compared(ratio) for ratio in found])}"


def _compared(ratio: Ratio) -> list[object]:
    here, there = ratio.here, ratio.there
    return [
        *(here.samples, here.steps),
        *(_Milliseconds(here.adapt.p50), _Milliseconds(there.adapt.p50), _Times(ratio.adapt)),
        *(_Milliseconds(here.predict.p50), _Milliseconds(there.predict.p50)),
        _Times(ratio.predict),
    ]


def _place(record: BenchRecord) -> str:
    threads = "per core" if record.threads is None else record.threads
    settings = f"threads: {threads}, cores: {record.cores}, onnxruntime {record.onnxruntime}"
    return f"{record.machine}, {settings}"


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


class _Times(float):
    """A ratio as a table shows it."""

    def __str__(self) -> str:
        return f"{float(self):.2f}"


class _Milliseconds(float):
    """A number that a table shows with its unit."""

    def __str__(self) -> str:
        return f"{float(self):.2f} ms"
