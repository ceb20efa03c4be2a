"""Waveforms, as float32 (N, L)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgemeta.meta.augment.draws import Draws, Scale

GAIN = 6.0  # decibels
NOISE = 0.1  # of the sample's own root mean square: 20 dB below it, or less
SHIFT = 0.1  # of the sample's time: recordings are centred
SPEED = (0.85, 1.2)


def gain(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Make each sample louder or softer, by up to 6 dB."""
    decibels = draws.uniform(-GAIN, GAIN, len(x), 1)
    return x * (decibels * (math.log(10) / 20)).exp()


def noise(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Add white noise of up to a tenth of the sample's root mean square."""
    level = draws.uniform(0, NOISE, len(x), 1) * x.square().mean(1, keepdim=True).sqrt()
    return torch.addcmul(x, draws.normal(*x.shape), level)


def shift(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Move each sample in time by up to 10 %; silence fills the gap."""
    time = x.shape[1]
    steps = draws.uniform(-SHIFT * time, SHIFT * time, len(x), 1).round().long()
    at = torch.arange(time, device=x.device) + steps  # (N, L)
    inside = (at >= 0) & (at < time)
    return x.gather(1, at.clamp_(0, time - 1)) * inside


def speed(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Play each sample at 0.83 to 1.18 times its speed about its middle; its pitch moves along."""
    time = x.shape[1]
    longer = draws.uniform(math.log(SPEED[0]), math.log(SPEED[1]), len(x), 1).exp()
    middle = (time - 1) / 2
    at = (torch.arange(time, device=x.device) - middle) / longer + middle  # (N, L)
    inside = (at >= 0) & (at <= time - 1)
    before = at.clamp(0, time - 2).long()
    played = torch.lerp(x.gather(1, before), x.gather(1, before + 1), at - before)
    return torch.where(inside, played, 0.0)
