from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta.tasks._glyphs import CLASS_IDS, DRAWERS, GlyphSource, draw_class
from edgemeta.tasks.source import EpisodeSize


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint8]:
    """One hundred classes: (100, 20, 28, 28)."""
    return np.stack([draw_class(class_id) for class_id in range(2300, 2400)])


def test_drawings_are_ink_on_paper(drawn: NDArray[np.uint8]) -> None:
    assert drawn.shape == (100, DRAWERS, 28, 28)
    assert drawn.dtype == np.uint8
    ink = (drawn > 127).mean(axis=(2, 3))
    assert ink.min() > 0.01  # nobody leaves the paper blank
    assert ink.max() < 0.5
    assert (drawn.max(axis=(2, 3)) > 200).all()
    border = drawn[:, :, [0, -1]].mean() + drawn[:, :, :, [0, -1]].mean()
    assert border < 0.1 * drawn.mean()  # characters stay on the paper


def test_a_class_is_drawn_the_same_every_time(drawn: NDArray[np.uint8]) -> None:
    assert np.array_equal(draw_class(2307), drawn[7])


def test_no_two_drawings_are_equal(drawn: NDArray[np.uint8]) -> None:
    assert len(np.unique(drawn.reshape(100 * DRAWERS, -1), axis=0)) == 100 * DRAWERS


def test_classes_are_told_apart_about_as_well_as_omniglots(drawn: NDArray[np.uint8]) -> None:
    # Nearest neighbour on pixels, 5 ways 1 shot, gets 0.44 on Omniglot. Chance is 0.2.
    rng = np.random.default_rng(0)
    pixels = drawn.reshape(100, DRAWERS, -1) / np.float32(255)
    right = []
    for _ in range(300):
        classes = rng.choice(100, 5, replace=False)
        support, query = pixels[classes, 0], pixels[classes, rng.integers(1, DRAWERS)]
        distance = ((query[:, None] - support) ** 2).sum(-1)
        right.append((distance.argmin(1) == np.arange(5)).mean())
    assert 0.38 < np.mean(right) < 0.58


def test_the_numbers_of_classes() -> None:
    source = GlyphSource()
    sizes = {split: len(source.classes(split)) for split in CLASS_IDS}
    assert sizes == {"train": 2000, "val": 300, "test": 500}


def test_support_and_query_are_different_drawings() -> None:
    episode = GlyphSource().episode("test", EpisodeSize(ways=2, shots=5, queries=15), 0, 0)
    images = np.concatenate([episode.support_x, episode.query_x]).reshape(40, -1)
    assert len(np.unique(images, axis=0)) == 40
