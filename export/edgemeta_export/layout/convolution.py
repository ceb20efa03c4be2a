"""Convolution as one Gather of rows and one matrix product, and its gradient likewise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta_export.layout.values import Filter, Grid, Image, take
from edgemeta_export.rules.windows import Windows, widen

# Where a pixel has fewer outputs than this share of the kernel's positions (in a strided
# convolution), gathering the outputs around each pixel multiplies mostly zeros.
DENSE = 0.5


@dataclass(frozen=True)
class Geometry:
    """Which row of the image each row of the columns is.

    Attributes:
        taps: (Q, K) the place in the image's grid that each kernel position reads at each place of
            the output's grid; the image's number of rows where it reads padding.
        rows: number of rows of the image.
    """

    taps: NDArray[np.int64]
    rows: int

    @classmethod
    def of(
        cls,
        image: Grid,
        out: Grid,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
    ) -> Geometry:
        """Return the geometry of a convolution between two grids."""
        how = (widen(values, len(kernel)) for values in (stride, padding, dilation))
        windows = Windows.sliding(image.size, out.size, kernel, *how)
        return cls(image.places[windows.index[:, list(out.order)]].T, len(image.order))

    @property
    def positions(self) -> int:
        """Positions of the kernel."""
        return int(self.taps.shape[1])

    def readers(self) -> NDArray[np.int64]:
        """(rows, K): which output row reads a row at each kernel position; Q if none does."""
        outputs, positions = self.taps.shape
        readers = np.full((self.rows + 1, positions), outputs, np.int64)
        for position in range(positions):
            readers[self.taps[:, position], position] = np.arange(outputs)
        return readers[:-1]

    def columns(self, image: Image) -> Tensor:
        """(N, P, C) -> (N * Q, K * C): what the kernel sees at each place of the output."""
        c = image.rows.shape[2]
        return take(image.rows, self.taps.ravel()).reshape(-1, self.positions * c)


def convolve(columns: Tensor, weight: Filter, bias: Tensor | None, out: Grid) -> Image:
    """Return the convolution, from the columns (N * Q, K * C)."""
    if bias is None:
        product = columns.mm(weight.matrix.t())
    else:
        product = torch.addmm(bias, columns, weight.matrix.t())
    return Image(product.reshape(-1, len(out.order), product.shape[1]), out)


def weight_gradient(columns: Tensor, grad: Image, shape: Sequence[int]) -> Filter:
    """Return the gradient with respect to the weights: the columns that the forward made, again."""
    return Filter.product(flat(grad), columns, shape)


def input_gradient(grad: Image, weight: Filter, geometry: Geometry, grid: Grid) -> Image:
    """Return the gradient with respect to the image: the gradients around each pixel, weighted."""
    made, read = weight.shape[:2]
    positions = geometry.positions
    readers = geometry.readers()
    matrix = weight.matrix
    outputs = len(geometry.taps)
    if (readers < outputs).mean() >= DENSE:
        if positions > 1:  # to rows (k, o) from rows (o, k)
            order = np.arange(made * positions).reshape(made, positions).T.ravel()
            matrix = matrix.reshape(made * positions, read)
            matrix = matrix.index_select(0, torch.from_numpy(order.astype(np.int32)))
        around = take(grad.rows, readers.ravel()).reshape(-1, positions * made)
        rows = around.mm(matrix)
    else:
        pieces = flat(grad).mm(matrix).reshape(-1, outputs * positions, read)
        entries = _entries(readers, outputs)
        most = entries.shape[1]
        rows = take(pieces, entries.ravel()).reshape(-1, geometry.rows, most, read).sum(2)
    return Image(rows.reshape(-1, geometry.rows, read), grid)


def flat(image: Image) -> Tensor:
    """(N, P, C) -> (N * P, C)."""
    return image.rows.reshape(-1, image.rows.shape[2])


def _entries(readers: NDArray[np.int64], outputs: int) -> NDArray[np.int64]:
    """(rows, M): the flat (output, position) pairs that read each row, filled up with none."""
    positions = readers.shape[1]
    none = outputs * positions
    entries = np.where(readers < outputs, readers * positions + np.arange(positions), none)
    used = int((entries < none).sum(1).max(initial=1))
    ordered: NDArray[np.int64] = np.sort(entries, axis=1)  # `none`, the largest, goes to the end
    return ordered[:, :used]
