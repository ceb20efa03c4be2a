"""The picture of a run: people rather look than read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edgemeta.util.files import write_atomically


def draw_curve(metrics: list[dict[str, Any]], path: Path) -> None:
    """Draw the outer loss and the validation metric over the outer steps.

    Args:
        metrics: the lines of metrics.jsonl.
        path: the PNG to write.
    """
    # The Agg canvas by hand: pyplot would keep every figure of a long run alive.
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.add_subplot()
    right = left.twinx()
    steps = [line["iteration"] for line in metrics]
    left.plot(steps, [line["loss"] for line in metrics], color="tab:gray", label="outer loss")
    right.errorbar(
        steps,
        [line["validation"] for line in metrics],
        yerr=[line["validation_ci95"] for line in metrics],
        color="tab:blue",
        elinewidth=0.6,
        label="validation",
    )
    left.set_xlabel("outer step")
    left.set_ylabel("outer loss")
    right.set_ylabel(f"validation {metrics[-1]['metric']} (± 95 % CI)", color="tab:blue")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(path, buffer.getvalue())
