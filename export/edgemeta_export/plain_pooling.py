"""Pooling of a whole image, written so that its gradient can be traced whatever lies where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from edgemeta.meta.torch_private import adaptive_avg_pool2d, adaptive_avg_pool3d

AXES: dict[Any, int] = {
    F.adaptive_avg_pool1d: 1,
    F.adaptive_avg_pool2d: 2,
    adaptive_avg_pool2d: 2,
    F.adaptive_avg_pool3d: 3,
    adaptive_avg_pool3d: 3,
}


class PlainPooling(TorchFunctionMode):
    """Takes average-pooling to one pixel for the mean that it is.

    PyTorch does the same, but where channels lie last in memory, as behind ConvNeXt's permuted
    layers, it gives the result their strides, with `as_strided_`: its gradient writes into views of
    flat memory, for which there is no translation.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run a function, or the mean in its place."""
        kwargs = kwargs or {}
        if func in AXES:
            return _pooled(func, *args, **kwargs)
        return func(*args, **kwargs)


def _pooled(func: Callable[..., Tensor], input: Tensor, output_size: Any) -> Tensor:
    sizes = output_size if isinstance(output_size, list | tuple) else [output_size]
    if any(size != 1 for size in sizes):
        return func(input, output_size)
    # (N, C, H, W) -> (N, C, 1, 1), or the same with one axis or three
    return input.mean([-1 - axis for axis in range(AXES[func])], keepdim=True)
