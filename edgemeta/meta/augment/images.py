"""Images, as float32 (N, C, H, W).

What moves pixels is a matrix for each image; their product is applied once, so that an image is
sampled, and blurred, once. Matrices are homogeneous (N, 3, 3), from a place in the changed image to
its place in the given one, x then y, both -1..1 from edge to edge.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from edgemeta.meta.augment.draws import Draws, Scale

SIDE = 0.7  # least side of a crop, as a share of the image's
ASPECT = 0.15  # width by height of a crop: e^-0.15 to e^0.15
MOVE, SIZE = 0.1, 0.1  # of the side; of the size
ANGLE = math.radians(15)
BRIGHTNESS, CONTRAST = 0.2, 0.3  # of the image's range; about 1
HOLE = 0.35  # of the side


def crop(x: Tensor, draws: Draws) -> Tensor:
    """Show a part of the image, of 70 to 100 % of its sides, as large as the image."""
    count = len(x)
    side, aspect = draws.uniform(SIDE, 1, count), draws.uniform(-ASPECT, ASPECT, count).exp()
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    across, down = draws.uniform(-1, 1, 2, count)
    return _matrix(width, 0, across * (1 - width), 0, height, down * (1 - height))


def move(x: Tensor, draws: Draws) -> Tensor:
    """Move the image by up to 10 % of its sides, and make it up to 10 % smaller or larger."""
    size = draws.uniform(1 - SIZE, 1 + SIZE, len(x))
    across, down = draws.uniform(-2 * MOVE, 2 * MOVE, 2, len(x))  # of a side that is 2 long
    return _matrix(size, 0, across, 0, size, down)


def turn(x: Tensor, draws: Draws) -> Tensor:
    """Turn the image by up to 15 degrees."""
    angle = draws.uniform(-ANGLE, ANGLE, len(x))
    wide = x.shape[3] / x.shape[2]
    cos, sin = angle.cos(), angle.sin()
    return _matrix(cos, -sin / wide, 0, sin * wide, cos, 0)


def mirror(x: Tensor, draws: Draws) -> Tensor:
    """Exchange left and right in half of the images."""
    left = draws.uniform(-1, 1, len(x)).sign()
    return _matrix(left, 0, 0, 0, 1, 0)


def light(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Change brightness by up to 20 % of the image's range, contrast by up to 30 %."""
    axes = (1, 2, 3)
    low, high = x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
    brightness, contrast = draws.uniform(-1, 1, 2, len(x), 1, 1, 1)
    middle = x.mean(axes, keepdim=True)
    factor = 1 + CONTRAST * contrast
    # middle + (x - middle) * factor + ..., in two passes over the pixels
    lit = x.mul(factor).add_(middle * (1 - factor) + BRIGHTNESS * (high - low) * brightness)
    # What floats range over is not known, but what this image does may occur.
    return lit if scale.whole else torch.clamp(lit, low, high)


def cutout(x: Tensor, draws: Draws, scale: Scale) -> Tensor:
    """Put the image's mean in place of a rectangle of up to 35 % of each side."""
    count, _, height, width = x.shape
    inside = torch.ones(count, 1, 1, 1, dtype=torch.bool, device=x.device)
    sides = draws.uniform(0, HOLE, count, 1)
    for axis, size in ((2, height), (3, width)):
        length = sides * size
        start = draws.uniform(0, 1, count, 1) * (size - length)
        place = torch.arange(size, device=x.device) + 0.5
        along = (place >= start) & (place < start + length)  # (N, size)
        inside = inside & (along[:, None, :, None] if axis == 2 else along[:, None, None])
    return torch.where(inside, x.mean((2, 3), keepdim=True), x)


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Sample the images anew, linearly; beyond an edge is what lies at it.

    Args:
        x: (N, C, H, W).
        matrix: (N, 3, 3), see above.
    """
    # x' = a x + (b y + c): what torch's affine_grid makes, in an eighth of its time
    down, across = _middles(x.shape[2], x), _middles(x.shape[3], x)
    rows = matrix[:, None, :2, 1] * down[:, None] + matrix[:, None, :2, 2]  # (N, H, 2)
    columns = matrix[:, None, :2, 0] * across[:, None]  # (N, W, 2)
    grid = rows[:, :, None] + columns[:, None]  # (N, H, W, 2)
    return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _middles(size: int, like: Tensor) -> Tensor:
    """Return where the middles of pixels lie, from -1 to 1: (size,)."""
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2 / size) - 1


def _matrix(*rows: Tensor | float) -> Tensor:
    """Return (N, 3, 3) from the two upper rows, each number a tensor (N,) or the same for all."""
    some = next(entry for entry in rows if isinstance(entry, Tensor))
    entries = [torch.as_tensor(e, device=some.device).expand_as(some) for e in (*rows, 0, 0, 1)]
    return torch.stack([entry.to(some.dtype) for entry in entries], 1).view(-1, 3, 3)
