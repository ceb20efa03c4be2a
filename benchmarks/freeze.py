"""What `Learner.freeze` gains: predicting with the state as constants, and as inputs.

python -m benchmarks.freeze [--cases mlp] [--rounds 15] [--out benchmarks/results/freeze.md]

The two take turns; times are medians of what one thread spends on a processor for one prediction.
"Pays after" is how many predictions make up for the freezing, which is timed once, by the clock.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.contestants import compile_case
from benchmarks.guard import on_processor
from benchmarks.models import CASES
from benchmarks.timing import in_rounds, machine, markdown, median_ms
from edgemeta import Learner, Runner, load
from edgemeta.measure.bench import support_set, timed

THREADS = 1  # all work is then the calling thread's
PACKAGED = "omniglot"
DEFAULT = (
    PACKAGED,
    "mlp",
    "gru",
    "conv4-32",
    "conv4-64-bn",
    "ds-cnn",
    "head-only",
    "transformer",
    "mobilenet-v2",
)
HEADER = (
    "case",
    "samples",
    "learner, ms",
    "frozen, ms",
    "gain",
    "freeze, ms",
    "pays after",
    "difference",
)


def measured(name: str, learner: Learner, x: np.ndarray, rounds: int) -> list[str]:
    """Return a row of the table: predicting `x`, the learner and frozen."""
    frozen, seconds = timed(learner.freeze)
    contestants = {
        "learner": on_processor(lambda: learner.predict_logits(x)),
        "frozen": on_processor(lambda: frozen.predict_logits(x)),
    }
    plain_ms, frozen_ms = map(median_ms, in_rounds(contestants, rounds).values())
    a, b = learner.predict_logits(x), frozen.predict_logits(x)
    pays = seconds * 1e3 / (plain_ms - frozen_ms) if frozen_ms < plain_ms else float("inf")
    return [
        name,
        str(len(x)),
        f"{plain_ms:.3f}",
        f"{frozen_ms:.3f}",
        f"{plain_ms / frozen_ms:.2f}x",
        f"{seconds * 1e3:.0f}",
        f"{pays:.0f}" if np.isfinite(pays) else "never",
        f"{np.abs(a - b).max() / np.abs(a).max():.0e}",
    ]


@click.command(help="Time predictions of learners and of frozen ones.")
@click.option("--cases", multiple=True, type=click.Choice([PACKAGED, *CASES]), default=DEFAULT)
@click.option("--rounds", default=15, show_default=True, help="Measured rounds of each.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table there as well.")
def main(cases: Sequence[str], rounds: int, out: Path | None) -> None:
    """Measure, and print a table."""
    where = machine(THREADS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in cases:
            if name == PACKAGED:
                runner = load(name, threads=THREADS)
                x, y = support_set(runner, 1)
            else:
                runner = Runner(compile_case(CASES[name], Path(folder) / name), threads=THREADS)
                x, y = CASES[name].support()
            learner = runner.adapt(x, y, guard=False)
            rows += [measured(name, learner, x[:count], rounds) for count in (1, 5)]
            click.echo(" ".join(rows[-2]))
    text = f"{markdown(HEADER, rows)}\n\nOne thread; {where}\n"
    click.echo(text)
    if out is not None:
        out.write_text(text)


if __name__ == "__main__":
    main()
