"""Max pooling whose windows do not overlap, as a tree of elementwise maxima.

With the pixels sorted by their position in the window, each level of the tree compares the first
half of the rows with the second: no index output, no Where (see `PoolWindows.order`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import Node

from edgemeta_export.layout.values import Grid, Image
from edgemeta_export.rules.windows import Windows, widen


@dataclass(frozen=True)
class PoolWindows:
    """The windows of one pooling.

    Attributes:
        size: spatial shape of the image.
        out: number of windows along each axis.
        kernel: pixels of a window along each axis.
    """

    size: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]

    @classmethod
    def of(cls, node: Node) -> PoolWindows | None:
        """Return the windows of a max pooling node or of its backward node.

        Returns:
            None if they overlap, hang over the edge, or hold a number of pixels that is not a power
            of two.
        """
        forward = node.target is torch.ops.aten.max_pool2d_with_indices.default
        args: Any = list(node.args if forward else node.args[1:7])
        image, kernel = args[:2]
        value = image.meta["val"]
        size = tuple(value.shape[2:]) if value.ndim == 4 else ()
        defaults = [kernel, 0, 1, False]
        stride, padding, dilation, ceil = (
            args[i + 2] if len(args) > i + 2 and args[i + 2] != [] else d
            for i, d in enumerate(defaults)
        )
        axes = len(size)
        kernel, stride, padding, dilation = (
            widen([v] if isinstance(v, int) else v, axes)
            for v in (kernel, stride, padding, dilation)
        )
        plain = kernel == stride and not any(padding) and set(dilation) == {1} and not ceil
        if not size or not plain or math.prod(kernel) & (math.prod(kernel) - 1):
            return None
        out = tuple(n // k for n, k in zip(size, kernel, strict=True))
        return cls(size, out, kernel) if all(out) else None

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return math.prod(self.size)

    @property
    def positions(self) -> int:
        """Pixels of a window."""
        return math.prod(self.kernel)

    def order(self, out: Grid) -> NDArray[np.int64]:
        """Return the pixels sorted by position, and by the order of the windows in `out`.

        Positions come in bit-reversed order: the first half of them are the even ones. So each
        comparison is one of neighbours, and of equal pixels the first one wins, as in PyTorch.
        """
        windows = Windows.sliding(
            self.size,
            self.out,
            self.kernel,
            self.kernel,
            [0] * len(self.size),
            [1] * len(self.size),
        )
        return windows.index[_bit_reversed(self.positions)][:, list(out.order)].ravel()


def pool(image: Image, windows: PoolWindows, out: Grid) -> Image:
    """Return the maximum of each window."""
    return Image(_levels(image.rows, windows.positions, len(out.order))[-1], out)


def unpool(grad: Image, image: Image, windows: PoolWindows) -> Image:
    """Return the gradient of `pool`: each window's goes to its first maximum."""
    count = len(grad.grid.order)
    rows = grad.rows
    for level in reversed(_levels(image.rows, windows.positions, count)[:-1]):
        half = level.shape[1] // 2
        wins = level[:, :half] >= level[:, half:]
        first = rows * wins.to(rows.dtype)
        rows = torch.cat([first, rows - first], 1)
    n, kept, c = rows.shape
    rest = len(image.grid.order) - kept
    if rest:
        rows = torch.cat([rows, rows.new_zeros((n, rest, c))], 1)
    return Image(rows, image.grid)


def _levels(rows: Tensor, positions: int, count: int) -> Sequence[Tensor]:
    """Return the rows of all windows, (N, positions * count, C), and their maxima, halving."""
    levels = [rows[:, : positions * count]]
    while levels[-1].shape[1] > count:
        half = levels[-1].shape[1] // 2
        levels.append(torch.maximum(levels[-1][:, :half], levels[-1][:, half:]))
    return levels


def _bit_reversed(count: int) -> list[int]:
    if count == 1:
        return [0]
    half = _bit_reversed(count // 2)
    return [2 * i for i in half] + [2 * i + 1 for i in half]
