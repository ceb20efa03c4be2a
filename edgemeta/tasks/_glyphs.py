"""Procedural handwriting: thousands of character classes without a download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.tasks.classes import ClassSource, Pool
from edgemeta.tasks.source import Split

SIDE = 28
DRAWERS = 20
CLASS_IDS: dict[Split, range] = {
    "train": range(0, 2000),
    "val": range(2000, 2300),
    "test": range(2300, 2800),
}

# A glyph lives in a square of about -1..1; this many pixels make one unit of it.
_PIXELS_PER_UNIT = 9.0
# Dots per curve: at most a pixel apart, so that the pen, wider than that, draws them as one line.
_DOTS = 32

# Separate the streams of random numbers: the form of a class, and how each person draws it.
_FORM, _HAND = 0, 1

# Anchors of strokes: a 4 x 4 grid, so that strokes meet, align and cross as in real scripts.
_GRID = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 4)] * 2), axis=-1).reshape(-1, 2)
_HALF_TURN = np.array([[1, 0], [1, 4 / 3], [-1, 4 / 3], [-1, 0]])  # half a circle, within 2 %


class GlyphSource(ClassSource):
    """Classify made-up characters of two to four strokes, drawn by 20 imagined people.

    Class c and drawer d give one image, a pure function of (c, d): uint8 (28, 28), ink = 255. The
    2000 / 300 / 500 classes of the three parts have different ids and therefore forms. In look and
    difficulty the characters are near Omniglot's, whose place they take where nothing can be
    downloaded; they are no benchmark. An image is rendered when it is first asked for, and kept.
    """

    name = "glyphs"
    input_shape = (SIDE, SIDE)
    input_dtype = np.dtype(np.uint8)

    def __init__(self) -> None:
        drawers = np.arange(DRAWERS, dtype=np.int64)
        self._pools = {
            split: Pool.of(dict.fromkeys(ids, drawers)) for split, ids in CLASS_IDS.items()
        }
        self._drawn: dict[int, NDArray[np.uint8]] = {}

    def pools(self, split: Split) -> Sequence[Pool]:
        """Return the one pool of the part."""
        return (self._pools[split],)

    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        if class_id not in self._drawn:
            self._drawn[class_id] = draw_class(class_id)
        return self._drawn[class_id][samples]


def draw_class(class_id: int) -> NDArray[np.uint8]:
    """Draw one class by every drawer.

    Returns:
        (20, 28, 28) uint8, ink = 255.
    """
    strokes = _form(np.random.default_rng([class_id, _FORM]))
    rng = np.random.default_rng([class_id, _HAND])
    dots = np.concatenate([_dots(stroke) for stroke in strokes])  # (P, 2)
    lift = np.repeat(np.arange(len(strokes)), [len(stroke) * _DOTS for stroke in strokes])
    drawn = _by_hand(dots, lift, rng) * _PIXELS_PER_UNIT + (SIDE - 1) / 2
    drawn += rng.normal(0, 1.2, (DRAWERS, 1, 2))  # where on the paper, in pixels
    pen = rng.uniform(0.62, 0.9, DRAWERS)  # half a stroke's width, in pixels
    return _render(drawn, pen)


def _form(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Make up a character: its strokes, each (curves, 4, 2) Bezier control points, y downwards."""
    strokes: list[NDArray[np.float64]] = []
    ink = np.empty((0, 2))  # dots of the strokes so far
    for _ in range(rng.choice([2, 3, 4], p=[0.35, 0.4, 0.25])):
        start = _GRID[rng.integers(len(_GRID))]
        if strokes and rng.random() < 0.65:  # touch what is there: at an end, or on the way
            touched = _dots(strokes[rng.integers(len(strokes))])
            start = touched[rng.choice([0, len(touched) // 2, -1])]
        stroke = _stroke(start, ink, rng)
        strokes.append(stroke)
        ink = np.concatenate([ink, _dots(stroke)])
    low, high = ink.min(axis=0), ink.max(axis=0)
    scale = 1.9 / max(high - low)
    return [(stroke - (low + high) / 2) * scale for stroke in strokes]


def _stroke(
    start: NDArray[np.float64], ink: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return one stroke from `start` to where there is no `ink` yet: (1 or 2, 4, 2)."""
    style = rng.random()
    if style < 0.15:  # a loop, towards the middle so that it stays on the paper
        radii = rng.uniform(0.25, 0.55, 2) * np.where(start > 0, -1, 1)
        halves = np.stack([_HALF_TURN, -_HALF_TURN])
        return (start + radii * [1, 0]) - halves * radii
    reach = np.linalg.norm(_GRID - start, axis=1)
    room = np.linalg.norm(_GRID[:, None] - ink, axis=2).min(axis=1, initial=np.inf)
    free = np.flatnonzero((reach > 0.7) & (room > 0.4))
    end = _GRID[rng.choice(free if len(free) else np.flatnonzero(reach > 0.7))]
    along = end - start
    across = np.array([-along[1], along[0]]) * rng.choice([-1, 1])
    if style < 0.5:  # a line
        bends = np.zeros((2, 1))
    elif style < 0.85:  # an arc
        bends = np.full((2, 1), rng.uniform(0.35, 0.8))
    else:  # an S
        bends = np.array([[1.0], [-1.0]]) * rng.uniform(0.5, 0.9)
    inner = start + along * [[1 / 3], [2 / 3]] + across * bends
    return np.stack([start, *inner, end])[None]


def _dots(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points along cubic Bezier curves: (curves, 4, 2) -> (curves * dots, 2)."""
    t = np.linspace(0, 1, _DOTS)
    s = 1 - t
    basis = np.stack([s**3, 3 * s**2 * t, 3 * s * t**2, t**3], axis=-1)  # (dots, 4)
    return (basis @ curves).reshape(-1, 2)


def _by_hand(
    dots: NDArray[np.float64], lift: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Let every drawer draw the form.

    A hand has its slant, size and proportions (a linear map), it distorts smoothly (waves over the
    paper, under which what meets still meets), and it misses a little whenever the pen is lifted.

    Args:
        dots: (P, 2) points of the form.
        lift: (P,) which stroke each belongs to.
        rng: where the hands come from.

    Returns:
        (20, P, 2).
    """
    angle = rng.normal(0, np.deg2rad(7), DRAWERS)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([cos, sin, -sin, cos], axis=-1).reshape(DRAWERS, 2, 2)
    slant = np.eye(2) + [[0, 0], [1, 0]] * rng.normal(0, 0.15, (DRAWERS, 1, 1))
    size = rng.uniform(0.8, 1.1, (DRAWERS, 1, 1)) * rng.uniform(0.88, 1.12, (DRAWERS, 1, 2))
    drawn: NDArray[np.float64] = dots @ (slant @ rotation) * size  # (D, P, 2)
    waves = 4
    frequency = rng.normal(0, 1.6, (DRAWERS, 2, waves))  # radians per unit: about a wave a glyph
    phase = rng.uniform(0, 2 * np.pi, (DRAWERS, 1, waves))
    push = rng.normal(0, 0.08, (DRAWERS, waves, 2))
    drawn += np.sin(dots @ frequency + phase) @ push
    drawn += rng.normal(0, 0.05, (DRAWERS, lift[-1] + 1, 2))[:, lift]
    return drawn


def _render(dots: NDArray[np.float64], pen: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Ink every pixel by its distance to the nearest dot, with a soft edge.

    Args:
        dots: (D, P, 2) in pixels, x then y.
        pen: (D,) half the width of the stroke, in pixels.

    Returns:
        (D, 28, 28) uint8.
    """
    grid = np.arange(SIDE, dtype=np.float32)
    square = (grid - dots.transpose(1, 2, 0)[..., None].astype(np.float32)) ** 2  # (P, 2, D, 28)
    nearest = np.full((len(pen), SIDE, SIDE), np.inf, dtype=np.float32)
    each = np.empty_like(nearest)
    # Dot after dot, because a few buffers that stay in the cache beat one of all dots.
    for across, down in square:
        np.add(down[:, :, None], across[:, None, :], out=each)
        np.minimum(nearest, each, out=nearest)
    ink = np.clip(pen[:, None, None] + 0.5 - np.sqrt(nearest), 0, 1)
    return np.rint(ink * 255).astype(np.uint8)
