"""How a tensor may lie in memory inside a step: images as rows of channels, filters as matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """Which pixels of an image are kept, and in which order.

    Attributes:
        size: spatial shape of the image, such as (28, 28).
        order: the flat pixel at each place; pixels that nobody reads may be missing.
    """

    size: tuple[int, ...]
    order: tuple[int, ...]

    @classmethod
    def natural(cls, size: Sequence[int]) -> Grid:
        """Return all pixels, row by row."""
        return cls(tuple(size), tuple(range(math.prod(size))))

    @property
    def pixels(self) -> int:
        """Pixels of the image, kept or not."""
        return math.prod(self.size)

    @property
    def is_natural(self) -> bool:
        """Whether all pixels are there, row by row."""
        return self.order == tuple(range(self.pixels))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(pixels + 1,): where each pixel lies; `len(order)` if it is missing or padding."""
        places = np.full(self.pixels + 1, len(self.order), np.int64)
        places[list(self.order)] = np.arange(len(self.order))
        return places


@dataclass(frozen=True)
class Image:
    """A tensor (N, C, *size) kept as rows of channels.

    Attributes:
        rows: (N, P, C), one row for each pixel of `grid`.
        grid: which pixel each row is.
    """

    rows: Tensor
    grid: Grid

    @classmethod
    def of(cls, tensor: Tensor, grid: Grid) -> Image:
        """Lay a tensor (n, c, *size) out as rows; n and c may be 1, to be broadcast."""
        n, c = tensor.shape[:2]
        rows = tensor.reshape(n, grid.pixels, c) if c == 1 or grid.pixels == 1 else None
        if rows is None:
            rows = tensor.reshape(n, c, grid.pixels).permute(0, 2, 1)
        return cls(rows if grid.is_natural else take(rows, np.array(grid.order)), grid)

    def plain(self) -> Tensor:
        """Return the tensor (N, C, *size); missing pixels are zero."""
        n, _, c = self.rows.shape
        rows = self.rows
        if not self.grid.is_natural:
            rows = take(rows, self.grid.places[:-1])
        if self.grid.pixels > 1:
            rows = rows.permute(0, 2, 1)
        return rows.reshape(n, c, *self.grid.size).contiguous()


@dataclass(frozen=True)
class Uniform:
    """A tensor that is the same at every pixel: broadcast, never written out.

    Attributes:
        rows: (n, 1, c); n and c may be 1.
        size: spatial shape.
        shape: of the whole tensor, (N, C, *size).
    """

    rows: Tensor
    size: tuple[int, ...]
    shape: tuple[int | torch.SymInt, ...]

    def plain(self) -> Tensor:
        """Return the tensor (N, C, *size)."""
        n, _, c = self.rows.shape
        return self.rows.reshape(n, c, *[1] * len(self.size)).expand(self.shape).contiguous()


@dataclass(frozen=True)
class Filter:
    """Weights (O, C, *kernel) of a convolution, kept as the matrix that multiplies columns.

    Attributes:
        matrix: (O, K * C), or (K, C * O) if `taps_first`; K are the positions of the kernel.
        shape: (O, C, *kernel).
        taps_first: the form that `edgemeta_export.layout.winograd` takes.
    """

    matrix: Tensor
    shape: tuple[int, ...]
    taps_first: bool = False

    @classmethod
    def of(cls, weight: Tensor, *, taps_first: bool = False) -> Filter:
        """Lay out weights (O, C, *kernel)."""
        made, _, *kernel = shape = tuple(weight.shape)
        taps = range(2, len(shape))
        if taps_first:
            matrix = weight.permute(*taps, 1, 0).reshape(math.prod(kernel), -1)
        else:
            matrix = weight.permute(0, *taps, 1).reshape(made, -1)
        return cls(matrix, shape, taps_first)

    @classmethod
    def product(cls, grad: Tensor, columns: Tensor, shape: Sequence[int]) -> Filter:
        """Return the gradient of the weights, from (M, O) and (M, K * C).

        One of the two has to be transposed, which is slow in itself: it is the narrower one.
        """
        if grad.shape[1] > columns.shape[1]:
            return cls(columns.t().mm(grad).t(), tuple(shape))
        return cls(grad.t().mm(columns), tuple(shape))

    def like(self, weight: Tensor) -> Filter:
        """Lay out other weights (O, C, *kernel) as these."""
        return Filter.of(weight, taps_first=self.taps_first)

    def plain(self) -> Tensor:
        """Return the weights (O, C, *kernel)."""
        made, read, *kernel = self.shape
        axes = len(kernel)
        if self.taps_first:
            tensor = self.matrix.reshape(*kernel, read, made)
            return tensor.permute(axes + 1, axes, *range(axes)).contiguous()
        tensor = self.matrix.reshape(made, *kernel, read)
        return tensor.permute(0, axes + 1, *range(1, axes + 1)).contiguous()


Value = Image | Uniform | Filter | Tensor


def take(rows: Tensor, places: NDArray[np.int64], axis: int = 1) -> Tensor:
    """(N, P, C) -> (N, len(places), C), one Gather; place P is a row of zeros.

    With axis 0 it is (P, N, C) -> (len(places), N, C).
    """
    count = rows.shape[axis]
    if (places == count).any():
        one = [1 if k == axis else size for k, size in enumerate(rows.shape)]
        rows = torch.cat([rows, rows.new_zeros(one)], axis)
    if np.array_equal(places, np.arange(rows.shape[axis])):
        return rows
    return rows.index_select(axis, torch.from_numpy(places.astype(np.int32)))
