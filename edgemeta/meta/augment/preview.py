"""A picture of samples beside their augmented copies: what training will see."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edgemeta.errors import InputError
from edgemeta.meta.augment.augmentation import AUGMENT_STREAM, Augmentation, make_augmentation
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.kinds import DataKind, channels_last
from edgemeta.tasks.source import EpisodeSize, TaskSource
from edgemeta.util.files import write_atomically

COPIES = 5  # of each sample
ROWS = 6  # samples, each of another class
LINES = 12  # channels; more are drawn as a map
WIDTH, HEIGHT = 1.9, 1.5  # inches of one picture


def draw_preview(
    source: TaskSource, names: Sequence[str], path: Path, *, seed: int = 0
) -> tuple[str, ...]:
    """Draw samples of the training part, one a row, and copies as training would show them.

    Images are drawn as images, spectra as maps with time from left to right, others as curves.

    Args:
        source: of raw samples.
        names: as for `make_augmentation`.
        path: the PNG to write.
        seed: of the samples and of the copies.

    Returns:
        The names that were applied.

    Raises:
        InputError: a name does not suit the data, or nothing is to change.

    Example:
        >>> from pathlib import Path
        >>> from edgemeta import tasks
        >>> from edgemeta.meta.augment.preview import draw_preview
        >>> draw_preview(tasks.open_tasks("glyphs"), ["auto"], Path("preview.png"))
        ('move', 'turn', 'cutout')
    """
    augmentation = make_augmentation(names, source)
    if augmentation is None:
        raise InputError(
            f"{source.name}: no augmentation to preview",
            got=",".join(names),
            expected="one that changes samples",
            hint="auto is none for regression; name some: --augment",
        )
    samples, labels = _samples(source, seed)
    rows = [
        [x, *_copies(augmentation, x, (seed, AUGMENT_STREAM, k))] for k, x in enumerate(samples)
    ]
    write_atomically(path, _png(augmentation, rows, labels))
    return augmentation.names


def _samples(source: TaskSource, seed: int) -> tuple[NDArray[Any], list[str]]:
    """Return (n, *shape) samples of the training part, and what to call them."""
    if not isinstance(source, ClassSource):
        x = source.episode("train", EpisodeSize(shots=ROWS, queries=1), seed, 0).support_x
        return x, [""] * len(x)
    size = EpisodeSize(min(ROWS, len(source.classes("train"))), shots=1, queries=1)
    x = source.episode("train", size, seed, 0).support_x
    classes = source.episode_classes("train", size, seed, 0).tolist()
    return x, [source.class_name(c) or f"class {c}" for c in classes]


def _copies(augmentation: Augmentation, x: NDArray[Any], seed: Sequence[int]) -> list[NDArray[Any]]:
    same = torch.from_numpy(np.ascontiguousarray(x)).expand(COPIES, *x.shape)
    return list(augmentation(same, seed).numpy())


def _png(
    augmentation: Augmentation, rows: Sequence[Sequence[NDArray[Any]]], labels: Sequence[str]
) -> bytes:
    columns = 1 + COPIES
    # The Agg canvas by hand: pyplot would keep the figure alive.
    figure = Figure(figsize=(WIDTH * columns, HEIGHT * len(rows) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"augmented by {', '.join(augmentation.names)}")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, label, across in zip(rows, labels, axes, strict=True):
        low = float(min(x.min() for x in row))
        high = float(max(x.max() for x in row))
        for x, place in zip(row, across, strict=True):
            _draw(place, x, augmentation.kind, (low, high))
            place.set(xticks=[], yticks=[])
        across[0].set_ylabel(label)
    for place, title in zip(axes[0], ["as it is", *["copy"] * COPIES], strict=True):
        place.set_title(title, fontsize="medium")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw(place: Axes, x: NDArray[Any], kind: DataKind, limits: tuple[float, float]) -> None:
    """Draw one sample; `limits` are those of its row, so that copies can be compared."""
    low, high = limits
    if kind == "images":
        place.imshow(_picture(x, low, high), cmap="gray", vmin=0, vmax=1)
    elif kind == "spectra" or (kind == "series" and x.shape[1] > LINES):
        shown = x.T.astype(np.float32)  # (T, C) -> (C, T)
        place.imshow(shown, origin="lower", aspect="auto", vmin=low, vmax=high)
    else:
        curves = x if kind == "series" else x.reshape(-1, 1)  # (T, C), (L,) -> (L, 1)
        place.plot(curves, linewidth=0.8)
        place.set_ylim(low, high if high > low else low + 1)


def _picture(x: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return an image as 0..1, (H, W) or (H, W, 3)."""
    if x.dtype == np.uint8:
        low, high = 0, 255
    shown = (x.astype(np.float32) - low) / max(high - low, 1e-9)
    if shown.ndim == 3:
        if not channels_last(x.shape):
            shown = shown.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        if shown.shape[2] == 1:
            shown = shown[..., 0]
    return shown
