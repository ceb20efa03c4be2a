"""The figures of the page, each drawn for light and for dark."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from edgemeta.measure.evaluate import Estimate
from edgemeta.meta.compare.record import called
from edgemeta.meta.report._markup import data_uri, image

SIZE = (5.2, 3.0)  # inches; small, so that the text can be read on a phone


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Attributes:
        ink: text and axes.
        faint: what stands back.
        first: the main line.
        second: the other one.
        colormap: from nothing to much.
    """

    ink: str
    faint: str
    first: str
    second: str
    colormap: str


LIGHT = Theme("#1b1f24", "#8b939c", "#1f5fae", "#c2541b", "Blues")
DARK = Theme("#e4e8ec", "#7d8690", "#7db7f5", "#f2a071", "Blues_r")

LINES = ("-", "--", ":")  # of baselines, which are more than there are colours to tell apart

Draw = Callable[[Figure, Theme], None]


def drawn(draw: Draw, alt: str, size: tuple[float, float] = SIZE) -> str:
    """Return a figure as HTML that takes the reader's choice of light or dark.

    Args:
        draw: fills an empty figure.
        alt: what it shows, for those who do not see it.
        size: width and height in inches.
    """
    dark = data_uri(_svg(draw, DARK, size), "svg+xml")
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f"{image(_svg(draw, LIGHT, size), 'svg+xml', alt)}</picture>"
    )


def _svg(draw: Draw, theme: Theme, size: tuple[float, float]) -> bytes:
    names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: Any = dict.fromkeys(names, theme.ink)
    settings |= {"axes.spines.top": False, "axes.spines.right": False}
    # The same run gives the same page: no random ids, no date.
    settings |= {"svg.hashsalt": "edgemeta", "legend.frameon": False}
    buffer = io.BytesIO()
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)  # pyplot would keep the figure alive
        draw(figure, theme)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


def curves(metrics: Sequence[Mapping[str, Any]], best: int | None) -> str:
    """Draw the outer loss and the validation metric over the outer steps.

    Args:
        metrics: the lines of metrics.jsonl, at least one.
        best: the outer step whose checkpoint is the run's; None if it is not known.
    """
    steps, loss, mean, ci = (
        np.array([line[key] for line in metrics], np.float64)
        for key in ("iteration", "loss", "validation", "validation_ci95")
    )
    name = metrics[-1]["metric"]

    def draw(figure: Figure, theme: Theme) -> None:
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(steps, loss, ".-", color=theme.second)
        above.set_ylabel("outer loss")
        below.plot(steps, mean, ".-", color=theme.first)
        below.fill_between(steps, mean - ci, mean + ci, color=theme.first, alpha=0.25, lw=0)
        below.set_ylabel(f"validation {name}")
        below.set_xlabel("outer step")
        if best is not None:
            for axes in (above, below):
                axes.axvline(best, color=theme.faint, ls=":", lw=1)

    alt = (
        f"Outer loss from {loss[0]:.3g} to {loss[-1]:.3g} and validation {name} from "
        f"{mean[0]:.3g} to {mean[-1]:.3g} over {steps[-1]:.0f} outer steps"
    )
    return drawn(draw, alt, (5.2, 4.2))


def by_step(found: Mapping[int, Estimate], metric: str, trained: int) -> str:
    """Draw the test metric after each number of inner steps, with its confidence band.

    Args:
        found: by the number of steps.
        metric: "accuracy" or "mse".
        trained: inner steps of the training.
    """
    steps = np.array(list(found))
    mean, ci = (np.array(values) for values in zip(*found.values(), strict=True))
    mean = np.where(np.isfinite(mean) & np.isfinite(ci), mean, np.nan)

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(steps, mean, ".-", color=theme.first)
        axes.fill_between(steps, mean - ci, mean + ci, color=theme.first, alpha=0.25, lw=0)
        axes.axvline(trained, color=theme.faint, ls=":", lw=1)
        axes.set_xlabel("inner steps")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    ends = [n for n in (0, trained, int(steps[-1])) if n in found]
    alt = f"Test {metric}: " + ", ".join(
        f"{found[n].mean:.3g} after {n} inner steps" for n in dict.fromkeys(ends)
    )
    return drawn(draw, alt)


def by_shots(entries: Sequence[Mapping[str, Any]], metric: str) -> str:
    """Draw the test metric of the run and its baselines against the number of shots.

    Args:
        entries: of a comparison, the run's first, each with a `curve`.
        metric: "accuracy" or "mse".
    """
    shots = sorted({point["shots"] for entry in entries for point in entry["curve"]})

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for k, entry in enumerate(entries):
            points = sorted(entry["curve"], key=lambda point: point["shots"])
            # Equal distances: 1 and 2 shots are as far apart as 5 and 10.
            places = [shots.index(point["shots"]) for point in points]
            mean, ci = (
                np.array([point[name] for point in points], np.float64) for name in ("mean", "ci95")
            )
            style: dict[str, Any] = {"lw": 1, "ls": LINES[k % 3], "color": f"C{k}"}
            if k == 0:
                style = {"lw": 2.5, "color": theme.first}
                axes.fill_between(places, mean - ci, mean + ci, color=theme.first, alpha=0.25, lw=0)
            axes.plot(places, mean, marker=".", label=called(entry), **style)
        axes.set_xticks(range(len(shots)), map(str, shots))
        axes.set_xlabel("support samples" + (" per class" if metric == "accuracy" else ""))
        axes.set_ylabel(metric)
        figure.legend(loc="outside lower center", ncols=2)

    first = sorted(entries[0]["curve"], key=lambda point: point["shots"])
    alt = f"Test {metric} of {called(entries[0])}: " + ", ".join(
        f"{point['mean']:.3g} with {point['shots']} shots" for point in first if point["mean"]
    )
    return drawn(draw, f"{alt}; {len(entries) - 1} baselines beside it", (5.2, 5.0))


def confusion(counts: NDArray[np.int64], names: Sequence[str]) -> str:
    """Draw a confusion matrix, each row as shares.

    Args:
        counts: (C, C) queries by true and predicted class; no row is empty.
        names: C names.
    """
    shares = counts / counts.sum(1, keepdims=True)
    few = len(names) <= 12

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.imshow(shares, cmap=theme.colormap, vmin=0, vmax=1)
        if len(names) <= 40:
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
        for (row, column), share in np.ndenumerate(shares) if few else ():
            over = DARK.ink if (share > 0.5) == (theme is LIGHT) else LIGHT.ink
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=over)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")

    side = min(3.5 + 0.25 * len(names), 9.0)
    right = np.diagonal(counts).sum() / counts.sum()
    alt = f"Confusion matrix of {len(names)} classes; {100 * right:.1f} % lie on the diagonal"
    return drawn(draw, alt, (side, side))


def adaptation(
    grid: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    support: tuple[NDArray[Any], NDArray[Any]],
    queries: tuple[NDArray[Any], NDArray[Any]],
) -> str:
    """Draw a function of one variable before and after adapting.

    Args:
        grid: (G,) inputs.
        before: (G,) what the init predicts.
        after: (G,) what the adapted weights predict.
        support: inputs and targets, each (S,).
        queries: inputs and targets, each (Q,).
    """

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(*queries, "x", color=theme.faint, label="queries (truth)")
        axes.plot(grid, before, "--", color=theme.second, label="before adapting")
        axes.plot(grid, after, color=theme.first, label="after adapting")
        axes.plot(*support, "o", color=theme.ink, label="support")
        figure.legend(loc="outside lower center", ncols=2)
        axes.set_xlabel("input")
        axes.set_ylabel("target")

    alt = f"Predictions before and after adapting to {len(support[0])} support samples"
    return drawn(draw, alt, (5.2, 3.8))


def agreement(truth: NDArray[Any], predicted: NDArray[Any]) -> str:
    """Draw predicted over true targets, both (n,)."""

    def draw(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(truth, predicted, ".", color=theme.first, alpha=0.4)
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        axes.plot(ends, ends, ":", color=theme.faint)
        axes.set_xlabel("true target")
        axes.set_ylabel("predicted")

    return drawn(draw, f"Predicted over true targets of {len(truth)} values", (4.6, 4.0))
