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
        matrix: (K * C, O), K being the positions of the kernel.
        shape: (O, C, *kernel).
    """

    matrix: Tensor
    shape: tuple[int, ...]

    @classmethod
    def of(cls, weight: Tensor) -> Filter:
        """Lay out weights (O, C, *kernel)."""
        shape = tuple(weight.shape)
        matrix = weight.permute(*range(2, len(shape)), 1, 0).reshape(-1, shape[0])
        return cls(matrix, shape)

    def plain(self) -> Tensor:
        """Return the weights (O, C, *kernel)."""
        made, read, *kernel = self.shape
        axes = len(kernel)
        tensor = self.matrix.reshape(*kernel, read, made)
        return tensor.permute(axes + 1, axes, *range(axes)).contiguous()


Value = Image | Uniform | Filter | Tensor


def take(rows: Tensor, places: NDArray[np.int64]) -> Tensor:
    """(N, P, C) -> (N, len(places), C), one Gather; place P is a row of zeros."""
    n, p, c = rows.shape
    if (places == p).any():
        rows = torch.cat([rows, rows.new_zeros((n, 1, c))], 1)
    if np.array_equal(places, np.arange(rows.shape[1])):
        return rows
    return rows.index_select(1, torch.from_numpy(places.astype(np.int32)))
