"""Each change of a series is as large as its docstring says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from edgemeta.meta.augment import series
from edgemeta.meta.augment.draws import Draws, Scale

COUNT, TIME, CHANNELS = 2000, 50, 6
SCALE = Scale(torch.arange(1.0, 7), torch.tensor([1.0, 2, 3, 4, 5, 6]))
SAMPLING = 0.05  # three standard errors of a standard deviation from 2000 numbers


def draws(seed: int = 0) -> Draws:
    return Draws([seed], torch.device("cpu"))


def ramp() -> Tensor:
    """Samples whose value at a step is the number of the step."""
    return torch.arange(float(TIME))[None, :, None].expand(COUNT, TIME, CHANNELS)


def test_a_shift_is_up_to_a_fifth_of_the_time_and_holds_the_ends() -> None:
    shifted = series.shift(ramp(), draws(), SCALE)
    by = shifted[:, TIME // 2, 0] - TIME // 2
    assert by.abs().max() == 10
    assert by.abs().mean() == pytest.approx(5, rel=SAMPLING)
    expected = (torch.arange(TIME) + by[:, None]).clamp(0, TIME - 1)
    torch.testing.assert_close(shifted, expected[..., None].expand_as(shifted))


def test_a_stretch_turns_about_the_middle() -> None:
    stretched = series.stretch(ramp(), draws(), SCALE)[..., 0]
    middle = (TIME - 1) / 2
    assert (stretched[:, 24] + stretched[:, 25]).sub(2 * middle).abs().max() < 1e-3  # float32
    speed = stretched[:, 26] - stretched[:, 25]
    assert 1 / 1.2 <= speed.min() < 0.84
    assert 1.16 < speed.max() <= 1 / 0.85 + 1e-5  # float32
    inside = stretched[:, 1:-1]
    assert inside.min() >= 0
    assert inside.max() <= TIME - 1


def test_one_step_cannot_be_stretched() -> None:
    x = torch.ones(3, 1, 2)
    assert series.stretch(x, draws(), SCALE) is x


def test_channels_are_scaled_each_by_itself() -> None:
    factor = series.scaled(torch.ones(COUNT, TIME, CHANNELS), draws(), SCALE)
    assert factor.std(1).max() == 0  # the same at all steps
    assert factor[:, 0].log().std() == pytest.approx(0.15, rel=SAMPLING)
    assert abs(torch.corrcoef(factor[:, 0].T)[0, 1]) < 3 * COUNT**-0.5


def test_channels_are_moved_by_their_own_size() -> None:
    moved = series.offset(torch.zeros(COUNT, TIME, CHANNELS), draws(), SCALE)
    assert moved.std(1).max() < 1e-6  # float32: the same at all steps
    torch.testing.assert_close(moved[:, 0].std(0), 0.25 * SCALE.std, rtol=SAMPLING, atol=0)


def test_noise_has_a_level_for_each_sample() -> None:
    noisy = series.noise(torch.zeros(COUNT, TIME, CHANNELS), draws(), SCALE) / SCALE.std
    level = noisy.flatten(1).std(1)
    assert level.mean() == pytest.approx(0.15, rel=SAMPLING)
    assert level.std() == pytest.approx(0.3 / math.sqrt(12), rel=2 * SAMPLING)
    assert level.max() < 0.3 * 1.2


def test_masks_hide_an_eighth_of_the_time_at_most_twice() -> None:
    masked = series.masks(torch.full((COUNT, TIME, CHANNELS), -1.0), draws(), SCALE)
    hidden = masked[..., 0] != -1
    torch.testing.assert_close(masked[hidden], SCALE.mean.expand(int(hidden.sum()), CHANNELS))
    assert hidden.sum(1).max() <= 2 * 0.12 * TIME
    # 0..5 steps each, uniformly: 2.5 in the mean, twice, less what overlaps
    assert hidden.sum(1).float().mean() == pytest.approx(2 * 2.5 * (1 - 0.03), rel=SAMPLING)
    edges = hidden.float().diff(dim=1).abs().sum(1) + hidden[:, 0] + hidden[:, -1]
    assert edges.max() <= 4  # two stretches, not more


def test_a_band_mask_hides_neighbours() -> None:
    x = torch.full((COUNT, TIME, 40), -1.0)
    scale = Scale(torch.zeros(40), torch.ones(40))
    hidden = series.band_mask(x, draws(), scale)[:, 0] == 0
    assert hidden.sum(1).max() == 7  # below a fifth of 40, in whole numbers
    assert hidden.float().diff(dim=1).abs().sum(1).max() <= 2
    assert hidden.any(0).all()  # each channel now and then


def test_a_rotation_keeps_lengths_and_turns_all_threes_alike() -> None:
    x = torch.randn(COUNT, TIME, 6, generator=torch.Generator().manual_seed(0))
    x[..., 3:] = x[..., :3]
    turned = series.rotation(x, draws(), Scale(torch.zeros(6), torch.ones(6)))
    lengths, before = (each[..., :3].norm(dim=-1) for each in (turned, x))
    torch.testing.assert_close(lengths, before, rtol=1e-4, atol=1e-5)  # float32, matrix_exp
    torch.testing.assert_close(turned[..., :3], turned[..., 3:])
    cosine = torch.cosine_similarity(turned[..., :3], x[..., :3], dim=-1).clamp(-1, 1)
    # Two of three angles move a vector: 0.15 * sqrt(2), in the root of the mean square.
    assert cosine.acos().square().mean().sqrt() == pytest.approx(0.15 * math.sqrt(2), rel=0.1)


def test_a_rotation_leaves_alone_what_is_no_sensor() -> None:
    x = torch.randn(COUNT, TIME, 6, generator=torch.Generator().manual_seed(0))
    std = torch.tensor([1.0, 1, 1, 1, 1, 100])
    turned = series.rotation(x, draws(), Scale(torch.zeros(6), std))
    assert torch.equal(turned[..., 3:], x[..., 3:])
    assert not torch.equal(turned[..., :3], x[..., :3])


def test_a_ring_moves_by_one_place_at_most() -> None:
    x = torch.arange(8.0).expand(COUNT, 3, 8)
    moved = series.ring(x, draws(), SCALE)
    by = (moved - x).remainder(8)[:, 0]
    assert (by == by[:, :1]).all()
    counts = by[:, 0].long().bincount().tolist()
    assert [k for k, count in enumerate(counts) if count] == [0, 1, 7]
    assert min(counts[0], counts[1], counts[7]) > COUNT / 3 * (1 - 3 * SAMPLING)
