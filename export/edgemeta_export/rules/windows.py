"""Sliding windows as constant indices: what convolution and pooling have in common.

A window reads, for each of its K positions and each of its L places, one pixel of the flattened
image. Which one is known at export, so that unfolding is one Gather, and folding back is one Gather
and a sum: no Slice, no Scatter, and the number of samples stays free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta_export.rules.registry import constant, op

Ints = Sequence[int]


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or a pooling lie.

    Attributes:
        size: spatial shape of the image.
        out: number of places along each axis.
        index: (K, L) the flat pixel read at each position of each place; where a window hangs over
            the edge, or is smaller than others, the padding pixel after the last one.
    """

    size: tuple[int, ...]
    out: tuple[int, ...]
    index: NDArray[np.int64]

    @classmethod
    def sliding(
        cls, size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
    ) -> Windows:
        """Return windows of one size, `stride` apart; as in convolution.

        Args:
            size: spatial shape of the image.
            out: number of places along each axis.
            kernel: positions along each axis.
            stride: step from place to place.
            padding: virtual pixels before (and after) each axis.
            dilation: step from position to position.
        """
        axes = [
            np.arange(k)[:, None] * d + np.arange(places)[None, :] * s - p  # (k, places)
            for places, k, s, p, d in zip(out, kernel, stride, padding, dilation, strict=True)
        ]
        return cls._along(size, out, axes)

    @classmethod
    def adaptive(cls, size: Ints, out: Ints) -> Windows:
        """Return windows that share the image among `out` places; as in adaptive pooling."""
        axes = []
        for n, places in zip(size, out, strict=True):
            place = np.arange(places)
            start, end = place * n // places, -(-(place + 1) * n // places)
            position = np.arange((end - start).max())[:, None]  # (k, 1)
            # (k, places); n is outside
            axes.append(np.where(position < end - start, start + position, n))
        return cls._along(size, out, axes)

    @classmethod
    def _along(cls, size: Ints, out: Ints, axes: Sequence[NDArray[np.int64]]) -> Windows:
        """Combine the pixels read along each axis."""
        found = np.zeros((1, 1), np.int64)
        inside = np.ones((1, 1), bool)
        for n, at in zip(size, axes, strict=True):
            # (K, L), (k, places) -> (K * k, L * places)
            found = _outer(found * n, at, np.add)
            inside = _outer(inside, (at >= 0) & (at < n), np.logical_and)
        index = np.where(inside, found, int(np.prod(size)))
        return cls(tuple(size), tuple(out), index)

    @property
    def pixels(self) -> int:
        """Pixels of the flattened image; as an index, the padding pixel after the last one."""
        return int(np.prod(self.size))

    @property
    def counts(self) -> NDArray[np.int64]:
        """(L,): how many pixels of the image each window reads."""
        found: NDArray[np.int64] = (self.index < self.pixels).sum(0)
        return found

    def inverse(self) -> NDArray[np.int64]:
        """Return (M, pixels): the entries of the flattened (K * L) windows that read each pixel.

        M is the largest number of windows over one pixel; K * L fills the rest up.
        """
        index = self.index.ravel()
        readers: list[list[int]] = [[] for _ in range(self.pixels)]
        for entry, pixel in enumerate(index.tolist()):
            if pixel < self.pixels:
                readers[pixel].append(entry)
        most = max(1, max(map(len, readers)))
        table = np.full((most, self.pixels), index.size, np.int64)
        for pixel, entries in enumerate(readers):
            table[: len(entries), pixel] = entries
        return table

    def unfold(self, image: Any, fill: float) -> Any:
        """(N, C, *size) -> (N, C, K, L), with `fill` where a window hangs over the edge."""
        channels = image.shape[1]
        # (N, C, *size) -> (N, C, pixels)
        flat = op.Reshape(image, constant([0, channels, self.pixels]))
        if (self.index == self.pixels).any():
            flat = _append(flat, fill)
        return op.Gather(flat, constant(self.index), axis=2)

    def fold(self, windows: Any, channels: int) -> Any:
        """(N, C, K, L) -> (N, C, *size): the sum over all windows that read a pixel."""
        # (N, C, K, L) -> (N, C, K * L)
        flat = op.Reshape(windows, constant([0, channels, self.index.size]))
        return self._sum(flat, self.inverse(), self.index.size, channels)

    def spread(self, places: Any, channels: int) -> Any:
        """(N, C, L) -> (N, C, *size): each pixel's sum over the windows that read it.

        The same as `fold` where all K positions of a window hold the same value.
        """
        table = self.inverse()
        length = self.index.shape[1]
        table = np.where(table < self.index.size, table % length, length)
        return self._sum(places, table, length, channels)

    def _sum(self, flat: Any, table: NDArray[np.int64], entries: int, channels: int) -> Any:
        """(N, C, entries) -> (N, C, *size): sums over the entries in `table` (M, pixels)."""
        if (table == entries).any():
            flat = _append(flat, 0.0)
        image = op.Gather(flat, constant(table), axis=2)  # (N, C, M, pixels)
        if len(table) > 1:
            image = op.ReduceSum(image, constant([2]), keepdims=0)
        # (N, C, pixels) or (N, C, 1, pixels) -> (N, C, *size)
        return op.Reshape(image, constant([0, channels, *self.size]))


def widen(values: Ints, axes: int) -> tuple[int, ...]:
    """Return one number for each axis, where one alone may stand for all."""
    return tuple(values) * axes if len(values) == 1 else tuple(values)


def _append(flat: Any, fill: float) -> Any:
    """(N, C, P) -> (N, C, P + 1), the last pixel being `fill`."""
    return op.Pad(flat, constant([0, 0, 0, 0, 0, 1]), constant(fill, np.float32))


def _outer(left: NDArray[Any], right: NDArray[Any], join: Any) -> NDArray[Any]:
    """(K, L), (k, l) -> (K * k, L * l), rows and columns in the order of nested loops."""
    joined: NDArray[Any] = join(left[:, None, :, None], right[None, :, None, :])
    return joined.reshape(left.shape[0] * right.shape[0], left.shape[1] * right.shape[1])
