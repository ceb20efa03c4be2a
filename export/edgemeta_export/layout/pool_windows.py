"""Max pooling whose windows do not overlap, as elementwise maxima.

With the pixels sorted by their position in the window, a pool compares as many parts of the rows as
a window has pixels: no index output, no Where (see `PoolWindows.order`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx import Node

from edgemeta_export.layout.values import Grid, Image
from edgemeta_export.rules.windows import Windows, widen

MOST = 16
"""Pixels of a window; with more of them, some four nodes for each cost more than they save."""


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
            None if they overlap, hang over the edge, or hold more than `MOST` pixels.
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
        if not size or not plain or math.prod(kernel) > MOST:
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
        """Return the pixels sorted by position, and by the order of the windows in `out`."""
        windows = Windows.sliding(
            self.size,
            self.out,
            self.kernel,
            self.kernel,
            [0] * len(self.size),
            [1] * len(self.size),
        )
        return windows.index[:, list(out.order)].ravel()


def pool(image: Image, windows: PoolWindows, out: Grid) -> Image:
    """Return the maximum of each window."""
    return Image(reduce(torch.maximum, _parts(image, windows, len(out.order))), out)


def unpool(grad: Image, image: Image, windows: PoolWindows) -> Image:
    """Return the gradient of `pool`: each window's goes to its first maximum, as in PyTorch."""
    count = len(grad.grid.order)
    parts = _parts(image, windows, count)
    largest = reduce(torch.maximum, parts)
    left, routed = grad.rows, []
    for part in parts[:-1]:
        routed.append(left * (part >= largest).to(left.dtype))
        left = left - routed[-1]
    routed.append(left)
    rest = len(image.grid.order) - windows.positions * count
    if rest:
        n, _, c = left.shape
        routed.append(left.new_zeros((n, rest, c)))
    return Image(torch.cat(routed, 1), image.grid)


def _parts(image: Image, windows: PoolWindows, count: int) -> list[Tensor]:
    """Return the rows (N, count, C) of each position in the windows."""
    sizes = [count] * windows.positions
    rest = len(image.grid.order) - sum(sizes)
    parts = image.rows.split_with_sizes([*sizes, rest] if rest else sizes, 1)
    return list(parts[: windows.positions])
