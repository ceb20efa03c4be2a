"""Convolution by 3x3 in fewer products: Lavin and Gray 2016 (arXiv 1509.09308), F(2x2, 3x3).

Each tile of 2x2 outputs is made of 4x4 inputs by 16 products in place of 36. The transforms are
matrices of a few small numbers:

    Y = A^T [(G w G^T) * (B^T x B)] A

Here each of them is one product over all tiles, because the positions in a tile come first in
memory: (positions, tiles x samples x channels). The gradients are the same steps transposed. What
is gathered is less than half of the columns of a plain convolution, which matters as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta_export.layout.norm import normalised
from edgemeta_export.layout.values import Filter, Grid, Image, take

INPUTS, OUTPUTS, KERNEL = 4, 2, 3  # of a tile, along each axis
B = np.array([[1, 0, 0, 0], [0, 1, -1, 1], [-1, 1, 1, 0], [0, 0, 0, -1]])
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
A = np.array([[1, 0], [1, 1], [1, -1], [0, -1]])

WORTH_IT = 0.75
"""Share of a plain convolution's multiplications, transforms included, from which on it is faster.

Measured (AVX2, forward and backward, one thread): a share of 0.72 takes 0.85 of the time, of 0.58
0.65 of it, of 0.47 and less half.
"""
LEAST = 1_000_000
"""Multiplications for each sample; with fewer, the larger number of nodes counts for more."""


@dataclass(frozen=True)
class Tiles:
    """Which pixels make up the tiles between two grids.

    Attributes:
        reads: (4^D, T) the place in the image's grid of each input of each tile; the image's
            number of rows where it is padding.
        writes: (2^D, T) the place in the output's grid of each output; the number of rows of
            that where nobody wants it.
        offsets: (2^D, D) where each output stands in its tile.
        rows: number of rows of the image.
        out: the output's grid.
    """

    reads: NDArray[np.int64]
    writes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: int
    out: Grid

    @classmethod
    def of(cls, image: Grid, out: Grid, padding: Sequence[int]) -> Tiles:
        """Return the tiles of a convolution, ordered so that outputs need not move, if possible."""
        pixels = np.stack(np.unravel_index(out.order, out.size), 1)  # (Q, D)
        corners = _in_order(pixels // OUTPUTS) * OUTPUTS  # (T, D)
        first = _in_order(pixels % OUTPUTS)
        axes = len(out.size)
        offsets = _in_order(np.concatenate([first, list(product(range(OUTPUTS), repeat=axes))]))
        inputs = np.array(list(product(range(INPUTS), repeat=axes)))
        reads = inputs[:, None] + corners - np.array(padding)
        return cls(
            _places(image, reads),
            _places(out, offsets[:, None] + corners),
            offsets,
            len(image.order),
            out,
        )

    @property
    def count(self) -> int:
        """Number of tiles."""
        return int(self.reads.shape[1])

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(Q,): the flat (output, tile) of each place in the output's grid."""
        places = np.zeros(len(self.out.order) + 1, np.int64)
        places[self.writes.ravel()] = np.arange(self.writes.size)
        return places[:-1]

    @cached_property
    def readers(self) -> NDArray[np.int64]:
        """(rows, M): the flat (input, tile) pairs that read each row, filled up with none."""
        order = np.argsort(self.reads.ravel(), kind="stable")
        rows = self.reads.ravel()[order]
        order, rows = order[rows < self.rows], rows[rows < self.rows]
        nth = np.arange(len(rows)) - np.searchsorted(rows, rows)
        readers = np.full((self.rows, int(nth.max(initial=0)) + 1), self.reads.size, np.int64)
        readers[rows, nth] = order
        return readers

    def multiplications(self, read: int, made: int) -> int:
        """Multiplications for each sample, transforms included; it has channels read and made."""
        inputs, outputs = len(self.reads), len(self.writes)
        each = inputs * read * made + inputs**2 * read + inputs * outputs * made
        return int(self.count * each)

    def spread(self, image: Image) -> Tensor:
        """(N, P, C) -> (4^D, T * N, C): the transformed inputs."""
        channels = image.rows.shape[2]
        inputs = take(_pixels_first(image), self.reads.ravel(), axis=0)
        mixed = self._transform(B.T, image.rows).mm(inputs.reshape(len(self.reads), -1))
        return mixed.reshape(len(self.reads), -1, channels)

    def convolve(self, spread: Tensor, weight: Filter, bias: Tensor | None) -> Image:
        """Return the convolution of what `spread` has made."""
        made = weight.shape[0]
        products = spread.bmm(self._weights(weight)).reshape(len(self.reads), -1)
        outputs = self._outputs(spread).t().mm(products).reshape(self.writes.size, -1, made)
        image = Image(take(outputs, self.places, axis=0).transpose(0, 1), self.out)
        return image if bias is None else normalised(image, bias=bias)

    def products_gradient(self, grad: Image) -> Tensor:
        """(N, Q, O) -> (4^D, T * N, O): the gradient of the products."""
        made = grad.rows.shape[2]
        outputs = take(_pixels_first(grad), self.writes.ravel(), axis=0)
        mixed = self._outputs(grad.rows).mm(outputs.reshape(len(self.writes), -1))
        return mixed.reshape(len(self.reads), -1, made)

    def weight_gradient(self, products: Tensor, spread: Tensor, shape: Sequence[int]) -> Filter:
        """Return the gradient of the weights, from that of the products."""
        grad = spread.transpose(1, 2).bmm(products).reshape(len(self.reads), -1)
        return Filter(self._transform(G, spread).t().mm(grad), tuple(shape), taps_first=True)

    def input_gradient(self, products: Tensor, weight: Filter, grid: Grid) -> Image:
        """Return the gradient of the image, from that of the products."""
        read = weight.shape[1]
        spread = products.bmm(self._weights(weight).transpose(1, 2))
        inputs = self._transform(B, spread).mm(spread.reshape(len(self.reads), -1))
        inputs = take(inputs.reshape(self.reads.size, -1, read), self.readers.ravel(), axis=0)
        rows = inputs.reshape(*self.readers.shape, -1).sum(1)
        return Image(rows.reshape(self.rows, -1, read).transpose(0, 1), grid)

    def _weights(self, weight: Filter) -> Tensor:
        """Return the transformed weights, (4^D, C, O)."""
        made, read = weight.shape[:2]
        taps = self._transform(G, weight.matrix).mm(weight.matrix)
        return taps.reshape(len(self.reads), read, made)

    def _outputs(self, like: Tensor) -> Tensor:
        """Return the transform of the outputs, (4^D, 2^D), in the order that they have here."""
        order = np.ravel_multi_index(tuple(self.offsets.T), (OUTPUTS,) * self.offsets.shape[1])
        return _constant(self._power(A)[:, order], like)

    def _transform(self, matrix: NDArray[np.float64], like: Tensor) -> Tensor:
        return _constant(self._power(matrix), like)

    def _power(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a transform along one axis as one of all axes."""
        power: NDArray[Any] = np.ones((1, 1))
        for _ in range(self.offsets.shape[1]):
            power = np.kron(power, matrix)
        return power


def tiles_if_faster(
    image: Grid,
    out: Grid,
    weight: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tiles | None:
    """Return the tiles of a convolution; None if it is no 3x3 one, or faster without.

    Args:
        image: grid of the image.
        out: grid of the output.
        weight: shape (O, C, *kernel).
        stride: for each axis, as the next two.
        padding: pixels of zeros on either side.
        dilation: pixels from one position of the kernel to the next.
    """
    made, read, *kernel = weight
    if set(kernel) != {KERNEL} or {*stride, *dilation} != {1}:
        return None
    plain = len(out.order) * KERNEL ** len(kernel) * read * made
    if plain < LEAST:
        return None
    tiles = Tiles.of(image, out, padding)
    return tiles if tiles.multiplications(read, made) <= WORTH_IT * plain else None


def _pixels_first(image: Image) -> Tensor:
    """(N, P, C) -> (P, N, C)."""
    return image.rows.transpose(0, 1).contiguous()


def _constant(matrix: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix)).to(like.dtype)


def _in_order(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different rows of a matrix, in the order of their first appearance."""
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)]


def _places(grid: Grid, pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(..., D) -> (...): the place of each pixel; `len(grid.order)` if it is not there."""
    size = np.array(grid.size)
    inside = ((pixels >= 0) & (pixels < size)).all(-1)
    flat = np.ravel_multi_index(tuple(np.moveaxis(pixels.clip(0, size - 1), -1, 0)), grid.size)
    return np.where(inside, grid.places[flat], len(grid.order))
