"""Images as one strip of pixels per channel: the layout of depthwise convolutions.

All samples lie one behind another along the longer axis, with zeros between them, so that one
convolution over one long image serves them all, and a 1x1 convolution is one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Up to this many pixels the shorter axis is folded into the channels: its taps become a banded
# matrix for each channel, and the convolution one along the longer axis alone.
BANDED = 8


@dataclass(frozen=True)
class Frame:
    """How samples lie in a strip.

    Attributes:
        size: spatial shape of one sample, one or two axes.
        gap: zeros behind each sample along the longer axis.
    """

    size: tuple[int, ...]
    gap: int

    @property
    def turned(self) -> bool:
        """Whether the first axis is the longer one, which lies innermost."""
        return len(self.size) == 2 and self.size[0] >= self.size[1]

    @property
    def short(self) -> int:
        """Pixels of the shorter axis."""
        return min(self.size) if len(self.size) == 2 else 1

    @property
    def long(self) -> int:
        """Pixels of the longer axis."""
        return max(self.size)

    @property
    def step(self) -> int:
        """From one sample to the next along the longer axis."""
        return self.long + self.gap

    def oriented(self, values: Sequence[int]) -> tuple[int, int]:
        """Return numbers given per axis in the order (shorter, longer)."""
        if len(values) == 1:
            return (1, values[0])
        return (values[1], values[0]) if self.turned else (values[0], values[1])


@dataclass(frozen=True)
class Strip:
    """A tensor (N, C, *size) kept as one row per channel.

    Attributes:
        rows: (C, L), L = short * N * (long + gap).
        frame: how the samples lie in a row.
        samples: N.
        clean: whether the gaps hold zeros; otherwise they hold anything.
    """

    rows: Tensor
    frame: Frame
    samples: int | torch.SymInt
    clean: bool

    @classmethod
    def of(cls, tensor: Tensor, frame: Frame) -> Strip:
        """Lay out a tensor (n, c, *size)."""
        n, c = tensor.shape[:2]
        short, long = frame.short, frame.long
        if frame.turned:
            tensor = tensor.permute(1, 3, 0, 2)
        else:
            tensor = tensor.reshape(n, c, short, long).permute(1, 2, 0, 3)
        if frame.gap:
            tensor = torch.cat([tensor, tensor.new_zeros((c, short, n, frame.gap))], 3)
        return cls(tensor.reshape(c, -1), frame, n, True)

    @property
    def shape(self) -> tuple[int | torch.SymInt, ...]:
        """(C, short, N, long + gap)."""
        frame = self.frame
        return (self.rows.shape[0], frame.short, self.samples, frame.step)

    def plain(self) -> Tensor:
        """Return the tensor (N, C, *size)."""
        frame = self.frame
        tensor = self.rows.reshape(self.shape)[..., : frame.long]
        tensor = tensor.permute(2, 0, 3, 1) if frame.turned else tensor.permute(2, 0, 1, 3)
        return tensor.reshape(self.samples, self.rows.shape[0], *frame.size).contiguous()

    def cleaned(self) -> Strip:
        """Return the same with zeros in the gaps."""
        if self.clean:
            return self
        _, short, n, _ = self.shape
        kept = self.rows.new_ones((1, short, n, self.frame.long))
        mask = torch.cat([kept, self.rows.new_zeros((1, short, n, self.frame.gap))], 3)
        return self.like(self.rows * mask.reshape(1, -1), clean=True)

    def like(self, rows: Tensor, *, clean: bool) -> Strip:
        """Return other rows that lie in the same way."""
        return Strip(rows, self.frame, self.samples, clean)


def depthwise(x: Strip, weight: Tensor, bias: Tensor | None) -> Strip:
    """Convolve each channel of a clean strip with a kernel of its own, (C, 1, *kernel).

    The stride is 1, and the padding keeps the size.
    """
    groups, short, _, length = _sizes(x)
    taps = Taps.of(weight, x.frame)
    if short <= BANDED:
        filters = _spread(weight, taps.bands()).reshape(groups * short, short, taps.along)
        image = x.rows.reshape(1, groups * short, length)
        made = torch.conv1d(image, filters, None, 1, taps.along // 2, 1, groups)
    else:
        filters = _spread(weight, taps.ones()).reshape(groups, 1, taps.across, taps.along)
        image = x.rows.reshape(1, groups, short, length)
        made = torch.conv2d(image, filters, None, 1, taps.padding, 1, groups)
    rows = made.reshape(groups, -1)
    return x.like(rows if bias is None else rows + bias[:, None], clean=False)


def depthwise_gradients(
    grad: Strip, x: Strip, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Strip | None, Tensor | None, Tensor | None]:
    """Gradients of `depthwise` with respect to image, weight and bias; both strips are clean.

    One convolution with a single one per kernel shifts the outer gradient to where each tap read
    it; each gradient is then one batched product with these shifts.
    """
    groups, short, _, length = _sizes(grad)
    taps = Taps.of(weight, grad.frame)
    banded = short <= BANDED
    # As a correlation, tap k reads what lies k behind the middle: dy[l - k + middle].
    if banded:
        count = groups * short
        single = np.eye(taps.along, dtype=np.float32)[::-1].reshape(1, -1, 1, taps.along)
        image, maps = grad.rows.reshape(1, count, length), taps.bands(turned=True)
        filters = _repeated(single, count).reshape(-1, 1, taps.along).to(image.dtype)
        shifts = torch.conv1d(image, filters, None, 1, taps.along // 2, 1, count)
        left, width = (groups, short, short * taps.along), length
    else:
        ones = taps.ones()[:, ::-1].reshape(1, taps.count, 1, -1)
        image = grad.rows.reshape(1, groups, short, length)
        maps = np.eye(taps.count, dtype=np.float32)
        filters = _repeated(ones, groups).reshape(-1, 1, taps.across, taps.along).to(image.dtype)
        shifts = torch.conv2d(image, filters, None, 1, taps.padding, 1, groups)
        left, width = (groups, 1, taps.count), short * length
    shifts = shifts.reshape(groups, left[2], width)
    dx = dw = db = None
    if wanted[0]:
        rows = _spread(weight, maps).reshape(left).bmm(shifts).reshape(groups, -1)
        dx = x.like(rows, clean=False)
    if wanted[1]:
        found = x.rows.reshape(groups, left[1], width).bmm(shifts.transpose(1, 2))
        back = torch.from_numpy(np.ascontiguousarray(maps.T)).to(found.dtype)
        dw = found.reshape(groups, -1).mm(back) if banded else found
        dw = dw.reshape(weight.shape)
    if wanted[2]:
        db = channel_sums(grad)
    return dx, dw, db


@dataclass(frozen=True)
class Taps:
    """Where the taps of a depthwise kernel, in the order of its memory, lie in a frame.

    Attributes:
        short: pixels of the frame's shorter axis.
        across: taps along the shorter axis.
        along: taps along the longer axis.
        turned: whether the kernel's first axis lies along the longer one.
    """

    short: int
    across: int
    along: int
    turned: bool

    @classmethod
    def of(cls, weight: Tensor, frame: Frame) -> Taps:
        """Return the taps of weights (C, 1, *kernel)."""
        return cls(frame.short, *frame.oriented(weight.shape[2:]), frame.turned)

    @property
    def count(self) -> int:
        """Number of taps."""
        return self.across * self.along

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels in front of (and behind) each axis."""
        return (self.across // 2, self.along // 2)

    def ones(self) -> NDArray[np.float32]:
        """(taps, across * along): a one where each tap lies."""
        order = np.arange(self.count).reshape(self.across, self.along)
        if self.turned:  # taps come with the longer axis first
            order = order.T
        return np.eye(self.count, dtype=np.float32)[order.ravel()]

    def bands(self, *, turned: bool = False) -> NDArray[np.float32]:
        """(taps, short * short * along): a one where each tap stands in the banded matrices.

        They are (out, read, along), or (read, out, along) if `turned`.
        """
        band = np.zeros((self.across, self.along, self.short, self.short, self.along), np.float32)
        taps = np.arange(self.along)
        for across in range(self.across):
            for out in range(self.short):
                read = out + across - self.across // 2
                if 0 <= read < self.short:
                    ends = (read, out) if turned else (out, read)
                    band[across, taps, *ends, taps] = 1
        return self.ones() @ band.reshape(self.count, -1)


def _spread(weight: Tensor, maps: NDArray[np.float32]) -> Tensor:
    """(C, 1, *kernel) -> (C, M): each channel's taps at their places in a larger filter."""
    flat = weight.reshape(weight.shape[0], -1)
    return flat.mm(torch.from_numpy(np.ascontiguousarray(maps)).to(weight.dtype))


def _repeated(filters: NDArray[np.float32], count: int) -> Tensor:
    """(1, T, 1, K) -> (count, T, 1, K)."""
    return torch.from_numpy(np.ascontiguousarray(filters)).expand(count, *filters.shape[1:])


def _sizes(x: Strip) -> tuple[int, int, int | torch.SymInt, int | torch.SymInt]:
    """Return channels, short, samples, and the length of all samples in a row."""
    _, short, samples, step = x.shape
    return int(x.rows.shape[0]), int(short), samples, samples * step


def mix(x: Strip, weight: Tensor, bias: Tensor | None) -> Strip:
    """Convolve with a 1x1 kernel (O, C) or (O, C, 1, ...): one product."""
    matrix = weight.reshape(weight.shape[:2])
    if bias is None:
        return x.like(matrix.mm(x.rows), clean=x.clean)
    return x.like(torch.addmm(bias[:, None], matrix, x.rows), clean=False)


def mix_gradients(
    grad: Strip, x: Strip, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Strip | None, Tensor | None, Tensor | None]:
    """Gradients of `mix` with respect to image, weight and bias, of a clean outer gradient."""
    matrix = weight.reshape(weight.shape[:2])
    dx = grad.like(matrix.t().mm(grad.rows), clean=True) if wanted[0] else None
    dw = grad.rows.mm(x.rows.t()).reshape(weight.shape) if wanted[1] else None
    return dx, dw, channel_sums(grad) if wanted[2] else None


def channel_sums(x: Strip) -> Tensor:
    """Return the sum over all pixels of all samples, (C,)."""
    return x.cleaned().rows.sum(1)


def sample_sums(x: Strip) -> Tensor:
    """Return the sum over the pixels of each sample, (N, C)."""
    return x.cleaned().rows.reshape(x.shape).sum((1, 3)).t()


def moments(x: Strip) -> tuple[Tensor, Tensor, Strip]:
    """Return mean (C,) and (biased) variance (C,) over all pixels, and the centred strip, clean."""
    count = x.frame.short * x.frame.long * x.samples
    mean = channel_sums(x) / count
    centred = x.like(x.rows - mean[:, None], clean=False).cleaned()
    variance = (centred.rows * centred.rows).sum(1) / count
    return mean, variance, centred


def batch_norm(
    x: Strip, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Strip, Tensor, Tensor]:
    """Normalise by the statistics of the batch: see `edgemeta_export.layout.norm.batch_norm`."""
    mean, variance, centred = moments(x)
    rstd = torch.rsqrt(variance + eps)
    rows = centred.rows * (rstd if weight is None else rstd * weight)[:, None]
    made = x.like(rows, clean=True)
    if bias is not None:
        made = x.like(rows + bias[:, None], clean=False)
    return made, mean, rstd


def batch_norm_backward(
    grad: Strip, x: Strip, weight: Tensor | None, rstd: Tensor
) -> tuple[Strip, Tensor, Tensor]:
    """Gradients of `batch_norm` with respect to image, weight and bias (C,)."""
    count = x.frame.short * x.frame.long * x.samples
    _, _, centred = moments(x)
    grad = grad.cleaned()
    bias_grad = channel_sums(grad)
    along = (grad.rows * centred.rows).sum(1)
    scale = rstd if weight is None else rstd * weight
    slope, shift = scale * rstd * rstd * along / count, scale * bias_grad / count
    rows = grad.rows * scale[:, None] - (centred.rows * slope[:, None] + shift[:, None])
    return x.like(rows, clean=False), along * rstd, bias_grad


def normalised(
    x: Strip,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Strip:
    """Normalise by given statistics (C,): (x - mean) / sqrt(variance + eps) * weight + bias."""
    scale = _scale(variance, weight, eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    return x.like(x.rows * scale[:, None] + shift[:, None], clean=False)


def running_norm_backward(
    grad: Strip,
    x: Strip,
    weight: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    wanted: Sequence[bool],
) -> tuple[Strip | None, Tensor | None, Tensor | None]:
    """Gradients of `normalised` with respect to image, weight and bias (C,), as far as wanted."""
    grad = grad.cleaned()
    scale = _scale(variance, weight, eps)
    made = x.like(grad.rows * scale[:, None], clean=True) if wanted[0] else None
    dw = db = None
    if wanted[1]:
        centred = x.rows - mean[:, None]
        dw = (grad.rows * centred).sum(1) * torch.rsqrt(variance + eps)
    if wanted[2]:
        db = channel_sums(grad)
    return made, dw, db


def _scale(variance: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    scale = torch.rsqrt(variance + eps)
    return scale if weight is None else scale * weight
