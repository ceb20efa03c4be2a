"""Batches made ahead are those made when they are asked for."""

from __future__ import annotations

import multiprocessing

import pytest
import torch

from edgemeta.meta.inner.objective import Tasks, stack_episodes
from edgemeta.meta.outer._batches import Batches
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks._glyphs import GlyphSource

SIZE = EpisodeSize(ways=3, shots=1, queries=2)
BATCH = 2


def batches(processes: int) -> Batches:
    def share(step: int) -> range:
        return range(step * BATCH, (step + 1) * BATCH)

    return Batches(GlyphSource(), SIZE, 5, share, torch.device("cpu"), processes)


def assert_same(left: Tasks, right: Tasks) -> None:
    for one, other in zip(left, right, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_batch_depends_on_its_number_alone(processes: int) -> None:
    source, made = GlyphSource(), batches(processes)
    before = torch.random.get_rng_state()
    for step in (3, 4, 4, 5, 1, 2):  # in turn, again, and from another place on
        expected = [source.episode("train", SIZE, 5, BATCH * step + k) for k in range(BATCH)]
        assert_same(made[step], stack_episodes(expected))
    assert torch.equal(torch.random.get_rng_state(), before)  # the model's random numbers
    children = multiprocessing.active_children()
    assert len(children) == processes
    made.close()
    assert not any(child.is_alive() for child in children)
    assert_same(made[2], stack_episodes(expected))
    made.close()
