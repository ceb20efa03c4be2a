from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgemeta.data.dataset import ArraySamples, Dataset
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.kinds import channels_last, data_kind, image_channels, time_axis


def kind_of(shape: tuple[int, ...], dtype: str, **preprocessing: Any) -> str:
    x, y = np.zeros((20, *shape), dtype), np.arange(20) % 10
    names = tuple("abcdefghij")
    data = Dataset(ArraySamples("x", x), y, names, preprocessing=preprocessing)
    return data_kind(DatasetSource("data", data))


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((28, 28), "uint8", "images"),
        ((28, 30, 3), "uint8", "images"),
        ((1, 28, 28), "float32", "images"),
        ((3, 28, 30), "float32", "images"),
        ((28, 30, 3), "float64", "images"),
        ((28, 30, 8), "float32", "vectors"),
        ((28, 28), "float32", "series"),
        ((64, 6), "int16", "series"),
        ((16000,), "float32", "waves"),
        ((16000, 1), "float32", "waves"),
        ((1, 16000), "int16", "waves"),
        ((400,), "int16", "waves"),
        ((6,), "int16", "vectors"),
        ((400,), "float32", "vectors"),
        ((7,), "uint8", "vectors"),
    ],
)
def test_the_kind_of_plain_arrays(shape: tuple[int, ...], dtype: str, kind: str) -> None:
    assert kind_of(shape, dtype) == kind


@pytest.mark.parametrize(
    ("shape", "dtype", "record", "kind"),
    [
        ((49, 10), "float32", {"features": "mfcc"}, "spectra"),
        ((49, 40), "float32", {"features": "logmel"}, "spectra"),
        ((200,), "int16", {"features": "wave"}, "waves"),
        ((8, 8), "uint8", {"image_size": [8, 8]}, "images"),
        ((64, 6), "float32", {"channels": ["x"], "window": 64}, "series"),
    ],
)
def test_what_a_layout_recorded_decides(
    shape: tuple[int, ...], dtype: str, record: dict[str, Any], kind: str
) -> None:
    assert kind_of(shape, dtype, **record) == kind


def test_how_an_image_lies() -> None:
    assert channels_last((28, 28, 3))
    assert not channels_last((3, 28, 28))
    assert not channels_last((28, 28))
    assert [image_channels(s) for s in ((8, 8), (8, 9, 3), (1, 8, 9))] == [1, 3, 1]


def test_where_time_is() -> None:
    assert time_axis("waves", (1, 16000)) == 1
    assert time_axis("series", (20, 60)) == 0
    assert time_axis("images", (20, 60)) is None
