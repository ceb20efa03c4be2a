"""Pooling: maximum, average and adaptive, backward, and where PyTorch's exporter lacks it forward.

All of them work on images of any number of axes with a channel axis, (N, C, *size).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule
from edgemeta_export.rules.windows import Windows, widen

aten = torch.ops.aten

LOWEST = float(np.finfo(np.float32).min)


@rule(aten.max_pool2d_with_indices_backward.default, aten.max_pool3d_with_indices_backward.default)
def max_pool_backward(
    grad_output: Any,
    input: Any,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Any,
) -> Any:
    """Gradient of max-pooling: each window hands its gradient to its first maximum.

    `indices` is left unread: finding the maximum again by ArgMax is cheaper in onnxruntime than
    MaxPool with its second output, which is dropped as dead code.

    Shapes: grad_output (N, C, *out), input (N, C, *size) -> (N, C, *size).
    """
    how = _per_axis(input, kernel_size, stride or kernel_size, padding, dilation)
    windows = Windows.sliding(input.shape[2:], grad_output.shape[2:], *how)
    return _to_first_maximum(grad_output, input, windows)


@rule(aten.avg_pool2d_backward.default, aten.avg_pool3d_backward.default)
def avg_pool_backward(
    grad_output: Any,
    input: Any,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """Gradient of average-pooling: each window hands an equal share to each of its pixels.

    Shapes: grad_output (N, C, *out), input (N, C, *size) -> (N, C, *size).
    """
    kernel, stride, padding = _per_axis(input, kernel_size, stride or kernel_size, padding)
    size, out = input.shape[2:], grad_output.shape[2:]
    windows = Windows.sliding(size, out, kernel, stride, padding, [1] * len(size))
    if divisor_override:
        divisor = np.full_like(windows.counts, divisor_override)
    elif count_include_pad:
        # Padding counts, but what ceil_mode lets hang over even the padding does not.
        padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
        none = [0] * len(size)
        divisor = Windows.sliding(padded, out, kernel, stride, none, [1] * len(size)).counts
    else:
        divisor = windows.counts
    return _share(grad_output, windows, divisor, input.shape[1])


@rule(aten._adaptive_avg_pool2d_backward.default, aten._adaptive_avg_pool3d_backward.default)
def adaptive_avg_pool_backward(grad_output: Any, input: Any) -> Any:
    """Gradient of adaptive average-pooling.

    Shapes: grad_output (N, C, *out), input (N, C, *size) -> (N, C, *size).
    """
    windows = Windows.adaptive(input.shape[2:], grad_output.shape[2:])
    return _share(grad_output, windows, windows.counts, input.shape[1])


@rule(aten.adaptive_max_pool2d.default, aten.adaptive_max_pool3d.default)
def adaptive_max_pool(input: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
    """Adaptive max-pooling, and the flat pixel of each maximum.

    Shapes: input (N, C, *size) -> (N, C, *out) and (N, C, *out) int64.
    """
    windows = Windows.adaptive(input.shape[2:], widen(output_size, len(input.shape) - 2))
    shape = constant([0, input.shape[1], *windows.out])
    columns = windows.unfold(input, LOWEST)  # (N, C, K, L)
    values = op.Reshape(op.ReduceMax(columns, constant([2]), keepdims=0), shape)
    winner = op.ArgMax(columns, axis=2, keepdims=1)  # (N, C, 1, L)
    # Position and place to pixel: the index has one entry for each.
    length = windows.index.shape[1]
    entry = op.Add(op.Mul(winner, constant(length)), constant(np.arange(length)))
    pixels = op.Gather(constant(windows.index.ravel()), entry)
    return values, op.Reshape(pixels, shape)


@rule(aten.adaptive_max_pool2d_backward.default, aten.adaptive_max_pool3d_backward.default)
def adaptive_max_pool_backward(grad_output: Any, input: Any, indices: Any) -> Any:
    """Gradient of adaptive max-pooling; like `max_pool_backward` it leaves `indices` unread.

    Shapes: grad_output (N, C, *out), input (N, C, *size) -> (N, C, *size).
    """
    windows = Windows.adaptive(input.shape[2:], grad_output.shape[2:])
    return _to_first_maximum(grad_output, input, windows)


def _to_first_maximum(grad_output: Any, input: Any, windows: Windows) -> Any:
    """Hand each window's gradient to the first of its largest pixels."""
    channels = input.shape[1]
    positions, places = windows.index.shape
    # ArgMax takes the first of equals, as PyTorch does.
    winner = op.ArgMax(windows.unfold(input, LOWEST), axis=2, keepdims=1)  # (N, C, 1, L)
    # A product with 0 and 1 instead of Where, which is slow in onnxruntime.
    matches = op.Equal(winner, constant(np.arange(positions)[:, None]))  # (N, C, K, L)
    chosen = op.CastLike(matches, grad_output)
    # (N, C, *out) -> (N, C, 1, L)
    routed = op.Reshape(grad_output, constant([0, channels, 1, places]))
    return windows.fold(op.Mul(chosen, routed), channels)


def _share(grad_output: Any, windows: Windows, divisor: Any, channels: int) -> Any:
    """Hand each window's gradient, over `divisor` (L,), to each of its pixels."""
    # (N, C, *out) -> (N, C, L)
    flat = op.Reshape(grad_output, constant([0, channels, windows.index.shape[1]]))
    return windows.spread(op.Mul(flat, constant(1 / divisor, np.float32)), channels)


def _per_axis(image: Any, *settings: Sequence[int]) -> list[tuple[int, ...]]:
    return [widen(values, len(image.shape) - 2) for values in settings]
