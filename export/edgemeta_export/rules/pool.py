"""Pooling, backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule
from edgemeta_export.rules.windows import Windows

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
    out = tuple(grad_output.shape[2:])
    windows = Windows.make(
        input.shape[2:], out, kernel_size, stride or kernel_size, padding, dilation
    )
    channels = input.shape[1]
    positions = constant(np.arange(len(windows.index()))[:, None])  # (K, 1)
    # ArgMax takes the first of equals, as PyTorch does.
    winner = op.ArgMax(windows.unfold(input, LOWEST), axis=2, keepdims=1)  # (N, C, 1, L)
    # A product with 0 and 1 instead of Where, which is slow in onnxruntime.
    chosen = op.CastLike(op.Equal(winner, positions), grad_output)  # (N, C, K, L)
    # (N, C, *out) -> (N, C, 1, L)
    routed = op.Reshape(grad_output, constant([0, channels, 1, int(np.prod(out))]))
    return windows.fold(op.Mul(chosen, routed), channels)
