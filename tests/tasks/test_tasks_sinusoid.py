from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemeta.tasks._sinusoid import SinusoidSource
from edgemeta.tasks.source import EpisodeSize


@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_support_and_query_lie_on_one_wave_of_the_family(seed: int) -> None:
    episode = SinusoidSource().episode("train", EpisodeSize(shots=10, queries=50), seed, 0)
    x = np.concatenate([episode.support_x, episode.query_x]).astype(np.float64)
    y = np.concatenate([episode.support_y, episode.query_y]).astype(np.float64)
    assert np.abs(x).max() <= 5
    # A sin(x - p) = a sin x - b cos x, with a = A cos p and b = A sin p: linear in (a, b).
    (a, b), residual, rank, _ = np.linalg.lstsq(
        np.hstack([np.sin(x), -np.cos(x)]), y[:, 0], rcond=None
    )
    assert rank == 2
    assert residual < 1e-10  # float32 rounding of y: 60 times (5 * 6e-8) squared is 5e-12
    assert 0.1 - 1e-6 <= np.hypot(a, b) <= 5 + 1e-6
    assert -1e-6 <= np.arctan2(b, a) <= np.pi + 1e-6


def test_the_ranges_are_filled() -> None:
    source, size = SinusoidSource(), EpisodeSize(shots=1, queries=100)
    episodes = [source.episode("test", size, 0, index) for index in range(200)]
    x = np.concatenate([episode.query_x for episode in episodes])
    heights = [float(np.abs(episode.query_y).max()) for episode in episodes]
    assert x.min() < -4.99
    assert x.max() > 4.99
    assert min(heights) < 0.5
    assert max(heights) > 4.8


def test_ways_do_not_matter() -> None:
    a, b = (
        SinusoidSource().episode("val", EpisodeSize(ways=ways, shots=4, queries=6), 1, 2)
        for ways in (1, 20)
    )
    assert all(np.array_equal(m, n) for m, n in zip(a, b, strict=True))
