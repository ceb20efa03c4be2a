"""A few test episodes: what the model saw, and what it said."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgemeta.meta.report import _figures as figures
from edgemeta.meta.report._markup import counted, figure, image, text
from edgemeta.meta.report._measure import Measured
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import Episode

LEAST_SIDE = 8  # pixels; what is smaller is no image
SHOWN_SHOTS, SHOWN_QUERIES = 5, 3  # of each class
SHOWN_LINES = 6  # channels of one sample
POINTS = 100  # along the input of a regression


def classified(found: Measured, names: list[list[str]], steps: int) -> str:
    """Show support and query samples of each episode, and which queries are right.

    Args:
        found: holds the episodes.
        names: of each episode's classes.
        steps: the inner steps after which to show the predictions.
    """
    parts = []
    for number, (episode, outputs) in enumerate(found.shown, 1):
        called = names[number - 1]
        labels = outputs[steps].argmax(1)
        right = labels == episode.query_y
        support = [
            figure(sample(episode.support_x[k], f"support sample of {called[y]}"), called[y])
            for k, y in _first_of_each(episode.support_y, SHOWN_SHOTS)
        ]
        queries = []
        for k, y in _first_of_each(episode.query_y, SHOWN_QUERIES):
            said = called[labels[k]]
            verdict = f"✓ {said}" if right[k] else f"✗ {said}, not {called[y]}"
            alt = f"query of {called[y]}, predicted {said}: {'right' if right[k] else 'wrong'}"
            mark = "right" if right[k] else "wrong"
            queries.append(figure(sample(episode.query_x[k], alt), verdict, mark))
        parts += [
            f"<h3>Episode {number}: {int(right.sum())} of {len(right)} queries right</h3>",
            "<h4>Support: what it adapts to</h4>",
            f'<div class="samples">{"".join(support)}</div>',
            "<h4>Queries, some of each class: what it says</h4>",
            f'<div class="samples">{"".join(queries)}</div>',
        ]
    return "\n".join(parts)


def regressed(adapter: TorchAdapter, found: Measured) -> str:
    """Show functions of one variable before and after adapting, or predicted over true targets."""
    one = adapter.input.shape in ((), (1,)) and found.shown[0][0].query_y[0].size == 1
    if not one:
        pairs = [(e.query_y, outputs[adapter.inner_steps]) for e, outputs in found.shown]
        truth, predicted = (np.concatenate([p[k].ravel() for p in pairs]) for k in (0, 1))
        caption = f"The queries of {len(pairs)} test episodes; the dotted line is where both agree."
        return figure(figures.agreement(truth, predicted), caption)
    parts = []
    for number, (episode, _) in enumerate(found.shown, 1):
        steps = adapter.inner_steps
        grid = _grid(episode)
        asked = episode._replace(query_x=grid, query_y=np.zeros(len(grid), np.float32))
        curves = adapter.predict_after(asked, (0, steps))
        picture = figures.adaptation(
            grid.ravel(),
            curves[0].ravel(),
            curves[steps].ravel(),
            (episode.support_x.ravel(), episode.support_y.ravel()),
            (episode.query_x.ravel(), episode.query_y.ravel()),
        )
        parts.append(figure(picture, f"Episode {number}, {counted(steps, 'inner step')}."))
    return "\n".join(parts)


def _grid(episode: Episode) -> NDArray[Any]:
    """Return inputs (G, 1) or (G,) all along those of an episode, in their dtype."""
    x = np.concatenate([episode.support_x, episode.query_x])
    line = np.linspace(x.min(), x.max(), POINTS).astype(x.dtype)
    return line.reshape(-1, *x.shape[1:])


def _first_of_each(y: NDArray[np.int64], most: int) -> list[tuple[int, int]]:
    """Return (place, label) of the first samples of each label."""
    labels = range(int(y.max()) + 1)
    return [(int(k), label) for label in labels for k in np.flatnonzero(y == label)[:most]]


def sample(x: NDArray[Any], alt: str) -> str:
    """Return one sample as an image, or as lines."""
    pixels = _pixels(x)
    if pixels is None:
        return _lines(x, alt)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return image(buffer.getvalue(), "png", alt)


def _pixels(x: NDArray[Any]) -> NDArray[np.uint8] | None:
    """Return (H, W) or (H, W, 3) uint8 if a sample is an image, else None."""
    if x.dtype != np.uint8 or x.ndim not in (2, 3):
        return None
    if x.ndim == 3 and x.shape[0] in (1, 3) and min(x.shape[1:]) > 3:
        x = x.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    if min(x.shape[:2]) < LEAST_SIDE or (x.ndim == 3 and x.shape[2] != 3):
        return None
    return np.ascontiguousarray(x)


def _lines(x: NDArray[Any], alt: str) -> str:
    """Return a sample as lines over its first axis, one for each of its first channels."""
    values = np.atleast_1d(x).astype(np.float64)
    channels = values.reshape(len(values), -1).T[:SHOWN_LINES]  # (L, ...) -> (channels, L)
    channels = np.where(np.isfinite(channels), channels, 0.0)
    low, high = channels.min(), channels.max()
    heights = 38 - 36 * (channels - low) / ((high - low) or 1.0)
    at = np.linspace(2, 94, channels.shape[1]) if channels.shape[1] > 1 else np.array([48.0])
    lines = ""
    for k, line in enumerate(heights):
        points = " ".join(f"{a:.1f},{h:.1f}" for a, h in zip(at, line, strict=True))
        lines += f'<polyline points="{points}" opacity="{1 - 0.12 * k:.2f}"/>'
    return (
        f'<svg viewBox="0 0 96 40" role="img" aria-label="{text(alt)}" fill="none" '
        f'stroke="currentColor" stroke-width="1">{lines}</svg>'
    )
