"""What kind of data a source shows: this decides which changes of a sample keep its class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edgemeta.data.options import FEATURES
from edgemeta.tasks.source import TaskSource

DataKind = Literal["images", "spectra", "waves", "series", "vectors"]
KINDS: tuple[DataKind, ...] = get_args(DataKind)

LONG = 2000  # numbers on one axis: no table has so many columns, and no window so many steps
FRAME = 400  # of int16 on one axis: 25 ms of sound at 16 kHz; less is a row of a sensor


def data_kind(source: TaskSource) -> DataKind:
    """Return the kind of a source's samples.

    What the layout of the data recorded decides; for plain arrays, shape and dtype do:

    | kind | samples |
    |---|---|
    | "images" | image files; uint8 of 2 or 3 axes; floats (C, H, W), (H, W, C) with C of 1 or 3 |
    | "spectra" | MFCC or log-mel of recordings: (frames, bands) |
    | "waves" | waveforms; one axis of `FRAME` int16 or more, or of more than `LONG` numbers |
    | "series" | windows of a .csv; other samples of 2 axes: (steps, channels) |
    | "vectors" | all others |

    Example:
        >>> from edgemeta import tasks
        >>> from edgemeta.tasks.kinds import data_kind
        >>> data_kind(tasks.open_tasks("glyphs"))
        'images'
    """
    record, shape, dtype = source.preprocessing, tuple(source.input_shape), source.input_dtype
    if record.get("features") in FEATURES:
        return "waves" if record["features"] == "wave" else "spectra"
    if "image_size" in record or (dtype == np.uint8 and len(shape) in (2, 3)):
        return "images"
    numbers = math.prod(shape)
    if numbers == max(shape) and (numbers > LONG or (dtype == np.int16 and numbers >= FRAME)):
        return "waves"
    if len(shape) == 3 and dtype.kind == "f" and image_channels(shape) in (1, 3):
        return "images"
    return "series" if len(shape) == 2 else "vectors"


def channels_last(shape: Sequence[int]) -> bool:
    """Whether an image of three axes is (H, W, C); (C, H, W) has C of 1 or 3, and larger sides."""
    return len(shape) == 3 and not (shape[0] in (1, 3) and min(shape[1:]) > 3)


def image_channels(shape: Sequence[int]) -> int:
    """Return C of an image (H, W), (H, W, C) or (C, H, W)."""
    if len(shape) == 2:
        return 1
    return shape[-1] if channels_last(shape) else shape[0]


def time_axis(kind: DataKind, shape: Sequence[int]) -> int | None:
    """Return which axis of a sample is time; None where there is none."""
    if kind == "waves":
        return max(range(len(shape)), key=lambda axis: shape[axis])
    return 0 if kind in ("spectra", "series") else None
