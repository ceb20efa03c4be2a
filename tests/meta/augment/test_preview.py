"""The preview is a picture of what training would show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgemeta.errors import InputError
from edgemeta.meta.augment import Augmentation, preview
from edgemeta.meta.augment.preview import COPIES, draw_preview
from edgemeta.tasks import from_arrays, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource


def source_of(shape: tuple[int, ...], dtype: str) -> DatasetSource:
    x = np.random.default_rng(0).uniform(0, 200, (90, *shape)).astype(dtype)
    return from_arrays(x, np.arange(90) % 15)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((12, 12), "uint8"),
        ((12, 12, 3), "uint8"),
        ((1, 12, 12), "float32"),
        ((3, 12, 12), "float32"),
        ((20, 6), "int16"),
        ((20, 40), "float16"),
        ((500,), "int16"),
        ((7,), "float32"),
    ],
)
def test_each_kind_is_drawn(shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "preview.png"
    source = source_of(shape, dtype)
    names = draw_preview(source, ["auto"], path)
    assert names
    with Image.open(path) as picture:
        assert picture.width > 1000
        once = np.asarray(picture)
    draw_preview(source, ["auto"], path, seed=1)
    with Image.open(path) as picture:
        assert not np.array_equal(np.asarray(picture), once)


def test_the_first_column_is_the_sample_and_the_others_are_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: list[list[NDArray[Any]]] = []

    def watched(_: Augmentation, rows: list[list[NDArray[Any]]], labels: list[str]) -> bytes:
        drawn.extend(rows)
        assert len(set(labels)) == len(rows) == 6
        return b""

    monkeypatch.setattr(preview, "_png", watched)
    source = source_of((20, 6), "float32")
    draw_preview(source, ["shift"], tmp_path / "preview.png")
    of_training, _ = source.labelled("train", 1000, np.random.default_rng(0))
    known = {x.tobytes() for x in of_training}
    for sample, *copies in drawn:
        assert sample.tobytes() in known
        assert len(copies) == COPIES
        assert len({copy.tobytes() for copy in copies} - {sample.tobytes()}) >= COPIES - 2


def test_regression_has_no_usual_augmentation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="auto is none for regression") as caught:
        draw_preview(open_tasks("sinusoid"), ["auto"], tmp_path / "preview.png")
    assert "\n" not in str(caught.value)
    draw_preview(open_tasks("sinusoid"), ["noise"], tmp_path / "preview.png")
    assert (tmp_path / "preview.png").exists()
