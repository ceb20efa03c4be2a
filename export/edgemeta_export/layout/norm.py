"""Batch norm and group norm over rows: two sums a direction, and as few full-size products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgemeta_export.layout.convolution import flat
from edgemeta_export.layout.pool_windows import PoolWindows, pool, unpool
from edgemeta_export.layout.values import Filter, Grid, Image

SMALLEST = 1e-30
"""Gives a weight of zero a sign."""


def column_sums(image: Image) -> Tensor:
    """(N, P, C) -> (1, C): a product with a row of ones, twice as fast as a reduction."""
    rows = flat(image)
    return rows.new_ones((1, rows.shape[0])).mm(rows)


def column_means(image: Image) -> Tensor:
    """(N, P, C) -> (C,): the mean over all rows, the divisor being part of the product."""
    rows = flat(image)
    return (rows.new_ones((1, rows.shape[0])) / rows.shape[0]).mm(rows)[0]


def normalised(
    image: Image,
    mean: Tensor | None = None,
    variance: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 0.0,
) -> Image:
    """Return (x - mean) / sqrt(variance + eps) * weight + bias, each of them (C,) or left out.

    That is one node, at two thirds of the time of a product alone: a product with a vector as short
    as one row of channels runs at a fraction of the speed of one between equal shapes.
    """
    rows = flat(image)
    zeros, ones = rows.new_zeros(rows.shape[1]), rows.new_ones(rows.shape[1])
    made = torch.native_batch_norm(
        rows,
        ones if weight is None else weight,
        zeros if bias is None else bias,
        zeros if mean is None else mean,
        ones if variance is None else variance,
        False,
        0.0,
        eps,
    )[0]
    return Image(made.reshape(image.rows.shape), image.grid)


def moments(x: Image, sign: Tensor | None = None) -> tuple[Tensor, Tensor, Image]:
    """Return mean (C,), (biased) variance (C,), and the centred rows, times `sign` (C,)."""
    mean = column_means(x)
    centred = normalised(x, mean, weight=sign)
    variance = column_means(Image(centred.rows * centred.rows, x.grid))
    return mean, variance, centred


def batch_norm(
    x: Image, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Image, Tensor, Tensor]:
    """Normalise by the statistics of the batch (Ioffe and Szegedy 2015, algorithm 1).

    Returns:
        The normalised image, the mean (C,), and one over the standard deviation (C,).
    """
    mean, variance, _ = moments(x)
    return normalised(x, mean, variance, weight, bias, eps), mean, torch.rsqrt(variance + eps)


def batch_norm_backward(
    grad: Image, x: Image, weight: Tensor | None, rstd: Tensor, eps: float
) -> tuple[Image, Tensor, Tensor]:
    """Gradients of `batch_norm` with respect to image, weight and bias (C,)."""
    count = x.rows.shape[0] * x.rows.shape[1]
    _, variance, centred = moments(x)
    mean = column_means(grad)
    along = column_means(Image(grad.rows * centred.rows, x.grid))
    slope = along * (rstd * rstd)
    turned = Image(grad.rows - normalised(centred, weight=slope).rows, x.grid)
    made = normalised(turned, mean, variance, weight, None, eps)
    return made, along * rstd * count, mean * count


def running_norm_backward(
    grad: Image,
    x: Image,
    weight: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Image | None, Tensor | None, Tensor | None]:
    """Gradients of `normalised` with respect to image, weight and bias (C,), as far as wanted."""
    made = normalised(grad, None, variance, weight, None, eps) if wanted[0] else None
    dw = db = None
    if wanted[1]:
        normal = normalised(x, mean, variance, eps=eps)
        dw = column_sums(Image(grad.rows * normal.rows, x.grid))[0]
    if wanted[2]:
        db = column_sums(grad)[0]
    return made, dw, db


@dataclass(frozen=True)
class StillProduct:
    """A convolution of what does not change between steps: of the support set itself.

    The moments of its output follow from those of its columns, which are taken once.

    Attributes:
        columns: (M, K * C) what the kernel sees at each place of the output.
        weight: the filters.
        bias: (O,) or None.
        out: the output's grid.
    """

    columns: Tensor
    weight: Filter
    bias: Tensor | None
    out: Grid

    def centred(self) -> Tensor:
        """Return the columns (M, K * C) without their means."""
        return self.columns - self.columns.mean(0)

    def covariance(self) -> Tensor:
        """Return the (biased) covariance of the columns, (K * C, K * C)."""
        centred = self.centred()
        return centred.t().mm(centred) / centred.shape[0]

    def moments(self, sign: Tensor | None) -> tuple[Tensor, Tensor, Image]:
        """Return what `moments` does, without a look at the output."""
        weight = self.weight.matrix
        mean = weight.mm(self.columns.mean(0)[:, None])[:, 0]
        variance = (weight.mm(self.covariance()) * weight).sum(1)
        signed = self.centred().mm(self.signed(sign).t())
        rows = signed.reshape(-1, len(self.out.order), weight.shape[0])
        return mean if self.bias is None else mean + self.bias, variance, Image(rows, self.out)

    def signed(self, sign: Tensor | None) -> Tensor:
        """Return the weights (O, K * C), each filter times its sign."""
        return self.weight.matrix if sign is None else self.weight.matrix * sign[:, None]


@dataclass(frozen=True)
class LateNorm:
    """A batch norm that waits for the max pooling behind it: a quarter of the pixels is left then.

    The largest pixel stays the largest where the weight is positive; where it is negative, the
    centred image changes its sign. Where a weight is zero, all pixels of a window are equal behind
    the norm; the gradient of the weight is then that at the largest pixel in front of it, at
    PyTorch's it is that at the first.

    Attributes:
        signed: the centred image, times the sign of the weight.
        sign: (C,), 1 or -1; None if there is no weight.
        weight, bias: (C,) or None.
        variance: (C,).
        eps: added to the variance.
        product: what made the image, if it is one of the support set.
    """

    signed: Image
    sign: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    variance: Tensor
    eps: float
    product: StillProduct | None = None

    @classmethod
    def of(
        cls,
        x: Image,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        product: StillProduct | None = None,
    ) -> tuple[LateNorm, Tensor, Tensor]:
        """Start a batch norm; the other results are those of `batch_norm`."""
        sign = None if weight is None else torch.sign(weight + SMALLEST)
        found = moments(x, sign) if product is None else product.moments(sign)
        mean, variance, signed = found
        late = cls(signed, sign, weight, bias, variance, eps, product)
        return late, mean, torch.rsqrt(variance + eps)

    def finish(self, signed: Image) -> Image:
        """Return the normalised image of what pooling has left of `signed`."""
        weight = None if self.weight is None else self.weight.abs()
        return normalised(signed, None, self.variance, weight, self.bias, self.eps)

    def plain(self) -> Tensor:
        """Return the whole normalised image, (N, C, *size)."""
        return self.finish(self.signed).plain()


@dataclass(frozen=True)
class LateGradient:
    """The gradient that pooling hands back to a late norm.

    Attributes:
        grad: the gradient of what pooling made.
        norm: the norm in front of the pooling.
        windows: of the pooling.
    """

    grad: Image
    norm: LateNorm
    windows: PoolWindows

    def gradients(self, rstd: Tensor) -> tuple[NormGradient, Tensor, Tensor]:
        """Gradients of the norm with respect to image, weight and bias (C,)."""
        norm, grad = self.norm, self.grad
        signed = norm.signed
        pooled = pool(signed, self.windows, grad.grid)
        # All sums are over the pooled pixels: the gradient of the others is zero.
        count = signed.rows.shape[0] * signed.rows.shape[1]
        sums = column_sums(grad)[0]
        along = column_sums(Image(grad.rows * pooled.rows, grad.grid))[0]
        scale = rstd if norm.weight is None else norm.weight * rstd
        scaled = normalised(grad, None, norm.variance, norm.weight, None, norm.eps)
        share = scale / count
        routed = unpool(scaled, signed, self.windows)
        image = NormGradient(routed, norm, share * (along * (rstd * rstd)), share * sums)
        along = along * rstd
        return image, along if norm.sign is None else along * norm.sign, sums

    def plain(self) -> Tensor:
        """Return the gradient of the normalised image, (N, C, *size)."""
        return unpool(self.grad, self.norm.signed, self.windows).plain()


@dataclass(frozen=True)
class NormGradient:
    """The gradient of the image in front of a late norm: routed - (signed * slope + shift).

    Attributes:
        routed: what pooling routes to its largest pixels, scaled.
        norm: the norm.
        slope, shift: (C,), what the norm's statistics add at every pixel.
    """

    routed: Image
    norm: LateNorm
    slope: Tensor
    shift: Tensor

    def image(self) -> Image:
        """Return it as an image."""
        even = normalised(self.norm.signed, weight=self.slope, bias=self.shift)
        return Image(self.routed.rows - even.rows, self.routed.grid)

    def weights(self, product: StillProduct) -> Filter:
        """Return the gradient of the filters, without making the image.

        The image sums to zero over all pixels, so that centred columns do as well as plain ones;
        and signed^T centred = count * (signed filters) covariance.
        """
        centred = product.centred()
        found = Filter.product(flat(self.routed), centred, product.weight.shape)
        even = product.signed(self.norm.sign).mm(product.covariance())
        matrix = found.matrix - even * (self.slope * centred.shape[0])[:, None]
        return Filter(matrix, found.shape)

    def plain(self) -> Tensor:
        """Return it as a tensor, (N, C, *size)."""
        return self.image().plain()


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
