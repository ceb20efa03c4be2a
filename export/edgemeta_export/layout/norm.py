"""Batch norm and group norm over rows: two sums a direction, and as few full-size products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgemeta_export.layout.convolution import flat
from edgemeta_export.layout.values import Image


def column_sums(image: Image) -> Tensor:
    """(N, P, C) -> (1, C): a product with a row of ones, twice as fast as a reduction."""
    rows = flat(image)
    return rows.new_ones((1, rows.shape[0])).mm(rows)


def affine(rows: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(N, P, C) * (C,) + (C,), written as a batch norm over given statistics.

    That is one node, at two thirds of the time of the product alone: a product with a vector as
    short as one row of channels runs at a fraction of the speed of one between equal shapes.
    """
    mean, variance = torch.zeros_like(shift), torch.ones_like(shift)
    flat_rows = rows.reshape(-1, rows.shape[2])
    made = torch.native_batch_norm(flat_rows, scale, shift, mean, variance, False, 0.0, 0.0)[0]
    return made.reshape(rows.shape)


def moments(x: Image) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (C,) and (biased) variance (C,) over all rows, and the centred rows."""
    count = x.rows.shape[0] * x.rows.shape[1]
    mean = column_sums(x)[0] / count
    centred = affine(x.rows, torch.ones_like(mean), -mean)
    variance = column_sums(Image(centred * centred, x.grid))[0] / count
    return mean, variance, centred


def batch_norm(
    x: Image, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Image, Tensor, Tensor]:
    """Normalise by the statistics of the batch (Ioffe and Szegedy 2015, algorithm 1).

    Returns:
        The normalised image, the mean (C,), and one over the standard deviation (C,).
    """
    mean, variance, centred = moments(x)
    rstd = torch.rsqrt(variance + eps)
    scale = rstd if weight is None else rstd * weight
    rows = affine(centred, scale, torch.zeros_like(scale) if bias is None else bias)
    return Image(rows, x.grid), mean, rstd


def batch_norm_backward(
    grad: Image, x: Image, weight: Tensor | None, rstd: Tensor
) -> tuple[Image, Tensor, Tensor]:
    """Gradients of `batch_norm` with respect to image, weight and bias (C,)."""
    count = x.rows.shape[0] * x.rows.shape[1]
    _, _, centred = moments(x)
    bias_grad = column_sums(grad)[0]
    along = column_sums(Image(grad.rows * centred, x.grid))[0]
    scale = rstd if weight is None else rstd * weight
    slope = scale * rstd * rstd * along / count
    rows = affine(grad.rows, scale, -scale * bias_grad / count)
    return (
        Image(rows - affine(centred, slope, torch.zeros_like(slope)), x.grid),
        along * rstd,
        bias_grad,
    )


def group_norm(
    x: Image, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float
) -> tuple[Image, Tensor, Tensor]:
    """Normalise each sample's groups of channels (Wu and He 2018, equation 1).

    Returns:
        The normalised image, the means (N, G), and one over the standard deviations (N, G).
    """
    channels = x.rows.shape[2]
    count = x.rows.shape[1] * channels // groups
    mean = _group_sums(x.rows.sum(1), groups) / count
    centred = x.rows - _spread(mean, channels)
    variance = _group_sums((centred * centred).sum(1), groups) / count
    rstd = torch.rsqrt(variance + eps)
    scale = _spread(rstd, channels)
    rows = centred * (scale if weight is None else scale * weight)
    if bias is not None:
        rows = rows + bias
    return Image(rows, x.grid), mean, rstd


def group_norm_backward(
    grad: Image, x: Image, weight: Tensor | None, mean: Tensor, rstd: Tensor
) -> tuple[Image, Tensor, Tensor]:
    """Gradients of `group_norm` with respect to image, weight and bias (C,)."""
    channels, groups = x.rows.shape[2], mean.shape[1]
    count = x.rows.shape[1] * channels // groups
    wide = _spread(rstd, channels)  # (N, 1, C)
    centred = x.rows - _spread(mean, channels)
    sums = grad.rows.sum(1)  # (N, C)
    along = (grad.rows * centred).sum(1)
    weighted, weighted_along = (sums, along) if weight is None else (sums * weight, along * weight)
    shift = _spread(_group_sums(weighted, groups) * rstd / count, channels)
    slope = _spread(_group_sums(weighted_along, groups) * rstd**3 / count, channels)
    scale = wide if weight is None else wide * weight
    rows = grad.rows * scale - (centred * slope + shift)
    return Image(rows, x.grid), (along * wide[:, 0]).sum(0), sums.sum(0)


def _group_sums(channels: Tensor, groups: int) -> Tensor:
    """(N, C) -> (N, G)."""
    return channels.reshape(channels.shape[0], groups, -1).sum(2)


def _spread(groups: Tensor, channels: int) -> Tensor:
    """(N, G) -> (N, 1, C): each group's number for each of its channels."""
    n, count = groups.shape
    wide: Sequence[int] = (n, count, channels // count)
    return groups[:, :, None].expand(wide).reshape(n, 1, channels)
