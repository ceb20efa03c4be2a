"""Each change of a waveform is as large as its docstring says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgemeta.meta.augment import waves
from edgemeta.meta.augment.draws import Draws, Scale

COUNT, LENGTH = 400, 8000
NO_SCALE = Scale(torch.zeros(1), torch.ones(1))


def draws() -> Draws:
    return Draws([0], torch.device("cpu"))


def test_gain_is_within_six_decibels() -> None:
    factor = waves.gain(torch.ones(COUNT, 3), draws(), NO_SCALE)
    decibels = 20 * factor.log10()
    assert (decibels == decibels[:, :1]).all()
    assert 5.8 < decibels.max() <= 6.001  # float32
    assert -6.001 <= decibels.min() < -5.8
    assert abs(decibels.mean()) < 3 * 6 / math.sqrt(3 * COUNT)


def test_noise_is_twenty_decibels_below_the_sample() -> None:
    x = torch.tensor([100.0, -100.0]).repeat(COUNT, LENGTH // 2)
    added = waves.noise(x, draws(), NO_SCALE) - x
    level = added.std(1)
    assert level.mean() == pytest.approx(5, rel=0.1)
    assert level.max() < 10 * 1.05
    silence = torch.zeros(2, 9)
    assert torch.equal(waves.noise(silence, draws(), NO_SCALE), silence)


def test_a_shift_fills_with_silence() -> None:
    x = torch.arange(1.0, LENGTH + 1).expand(COUNT, LENGTH)
    shifted = waves.shift(x, draws(), NO_SCALE)
    by = (shifted - x)[:, LENGTH // 2]
    assert 0.09 * LENGTH < by.abs().max() <= 0.1 * LENGTH
    assert ((shifted == 0).sum(1) == by.abs()).all()
    assert ((shifted == 0) | (shifted - x == by[:, None])).all()


def test_speed_moves_the_pitch() -> None:
    x = (2 * math.pi * 500 / LENGTH * torch.arange(LENGTH)).sin().expand(COUNT, LENGTH)
    played = waves.speed(x, draws(), NO_SCALE)
    pitch = np.abs(np.fft.rfft(played.numpy())).argmax(1)
    assert 500 / 1.2 - 1 <= pitch.min() < 425
    assert 580 < pitch.max() <= 500 / 0.85 + 1
    faster = pitch > 520
    assert (played[faster][:, [0, -1]] == 0).all()
