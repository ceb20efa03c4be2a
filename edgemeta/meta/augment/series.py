"""Time series and the spectra of sound, as float32 (N, T, C): T steps or frames, C channels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgemeta.meta.augment.draws import Draws, Scale

SHIFT = 0.2  # of the sample's time
STRETCH = (0.85, 1.2)
SCALE = 0.15
OFFSET = 0.25  # standard deviations
NOISE = 0.3  # standard deviations
MASKS, MASK = 2, 0.12  # how many, each up to this share of the time
BAND = 0.2  # of the channels
ANGLE = 0.15  # radians about each axis, one standard deviation: 14 degrees in the mean
ALIKE = 10.0  # at most: largest over smallest standard deviation of the axes of one sensor


def shift(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Move each sample in time by up to 20 %; its first or last step fills the gap."""
    count, time, _ = x.shape
    steps = draws.uniform(-SHIFT * time, SHIFT * time, count).round().long()
    return _steps(x, (_time(x) + steps[:, None]).clamp(0, time - 1))


def stretch(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Play each sample at 0.83 to 1.18 times its speed about its middle, between steps linear."""
    count, time, _ = x.shape
    if time < 2:
        return x
    longer = draws.uniform(math.log(STRETCH[0]), math.log(STRETCH[1]), count).exp()
    middle = (time - 1) / 2
    at = ((_time(x) - middle) / longer[:, None] + middle).clamp(0, time - 1)  # (N, T)
    before = at.long().clamp(max=time - 2)
    return torch.lerp(_steps(x, before), _steps(x, before + 1), (at - before)[..., None])


def scaled(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Multiply each channel of each sample by e^(0.15 n), n standard normal."""
    return x * (SCALE * draws.normal(len(x), 1, x.shape[2])).exp()


def offset(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Add to each channel of each sample 0.25 n standard deviations of the channel."""
    return x + OFFSET * scale.std * draws.normal(len(x), 1, x.shape[2])


def noise(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Add white noise, of up to 0.3 standard deviations of the channel; each sample its own."""
    level = draws.uniform(0, NOISE, len(x), 1, 1) * scale.std  # (N, 1, C)
    return torch.addcmul(x, draws.normal(*x.shape), level)


def masks(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Put the channels' means in place of two stretches of up to 12 % of the time each."""
    for _ in range(MASKS):
        x = torch.where(_stretch(x, draws, 1, MASK)[..., None], scale.mean, x)
    return x


def band_mask(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Put the channels' means in place of up to 20 % of the channels, neighbours all."""
    return torch.where(_stretch(x, draws, 2, BAND)[:, None], scale.mean, x)


def rotation(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Turn the axes x, y, z that each three channels are by a small angle.

    All threes of a sample turn alike, as the sensors of one board do. Threes whose channels are of
    different size are no axes of one sensor, and stay.
    """
    threes = scale.std.view(-1, 3)
    alike = threes.amax(1) <= ALIKE * threes.amin(1)  # (C / 3,)
    about = ANGLE * draws.normal(len(x), 3)
    zero = torch.zeros_like(about[:, 0])
    a, b, c = about.unbind(1)
    skew = torch.stack([zero, -c, b, c, zero, -a, -b, a, zero], 1).view(-1, 3, 3)
    turn = torch.linalg.matrix_exp(skew)  # (N, 3, 3)
    axes = x.view(len(x), -1, 3)  # (N, T, C) -> (N, T * C / 3, 3)
    turned = torch.bmm(axes, turn).view(*x.shape)
    return torch.where(alike.repeat_interleave(3), turned, x)


def ring(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Move the channels by one place up or down, or not at all, the last one next to the first.

    For sensors in a ring, such as the electrodes of an armband that sits turned.
    """
    channels = x.shape[2]
    by = draws.uniform(-1.5, 1.5, len(x)).round().long()
    at = (torch.arange(channels, device=x.device) + by[:, None]) % channels  # (N, C)
    return x.gather(2, at[:, None].expand(x.shape))


def _time(x: Tensor) -> Tensor:
    """Return the numbers of the steps, (T,)."""
    return torch.arange(x.shape[1], device=x.device)


def _steps(x: Tensor, at: Tensor) -> Tensor:
    """Return the steps (N, T) of each sample: (N, T, C)."""
    return x.gather(1, at[..., None].expand(x.shape))


def _stretch(x: Tensor, draws: Draws, axis: int, most: float) -> Tensor:
    """Choose a stretch of up to a share of an axis in each sample: (N, size) bool."""
    count, size = len(x), x.shape[axis]
    length = (draws.uniform(0, most * size, count, 1)).long()
    start = (draws.uniform(0, 1, count, 1) * (size - length + 1)).long()
    place = torch.arange(size, device=x.device)
    chosen: Tensor = (place >= start) & (place < start + length)
    return chosen
