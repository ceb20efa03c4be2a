"""Convolution, backward: any number of axes, strided, dilated, grouped, transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from edgemeta_export.rules.registry import constant, op, rule
from edgemeta_export.rules.windows import Ints, Windows, widen

aten = torch.ops.aten


@rule(aten.convolution_backward.default)
def convolution_backward(
    grad_output: Any,
    input: Any,
    weight: Any,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Any, Any, Any]:
    """Gradients of `aten.convolution` with respect to input, weight and bias.

    A transposed convolution is the gradient of a plain one, so that both share the same three
    products with input and gradient changing places. All three gradients are written down;
    those that `output_mask` does not ask for have no reader and fall to the dead-code pass.

    Shapes: grad_output (N, O, *out), input (N, C, *size), weight (O, C / groups, *kernel), or
    (C, O / groups, *kernel) when transposed.
    """
    kernel = weight.shape[2:]
    stride, padding, dilation = (
        widen(values, len(kernel)) for values in (stride, padding, dilation)
    )
    how = (stride, padding, dilation)
    # The image that windows slide over, and what each window makes one pixel of.
    image, pixels = (grad_output, input) if transposed else (input, grad_output)
    attributes = _attributes(stride, padding, dilation, groups)
    if transposed:
        grad_input = op.Conv(grad_output, weight, **attributes)
    else:
        short = _remainder(image.shape[2:], pixels.shape[2:], kernel, *how)
        grad_input = op.ConvTranspose(grad_output, weight, output_padding=short, **attributes)
    windows = Windows.sliding(image.shape[2:], pixels.shape[2:], kernel, *how)
    grad_weight = _correlate(image, pixels, weight.shape, windows, groups)
    axes = [0, *range(2, 2 + len(kernel))]
    grad_bias = op.ReduceSum(grad_output, constant(axes), keepdims=0)
    return grad_input, grad_weight, grad_bias


def _correlate(
    image: Any, pixels: Any, weight_shape: Sequence[int], windows: Windows, groups: int
) -> Any:
    """Gradient of the weight (A, B / groups, *kernel): each window times the pixel that it made.

    Shapes: image (N, B, *size), pixels (N, A, *out).
    """
    made, read = weight_shape[0] // groups, weight_shape[1]
    taps = read * len(windows.index)
    # (N, A, *out) -> (N, G, A / G, L)
    left = op.Reshape(pixels, constant([0, groups, made, -1]))
    # (N, B, K, L) -> (N, G, B / G * K, L) -> (N, G, L, B / G * K)
    columns = op.Reshape(windows.unfold(image, 0.0), constant([0, groups, taps, -1]))
    right = op.Transpose(columns, perm=[0, 1, 3, 2])
    product = op.ReduceSum(op.MatMul(left, right), constant([0]), keepdims=0)
    # (G, A / G, B / G * K) -> (A, B / G, *kernel)
    return op.Reshape(product, constant(list(weight_shape)))


def _remainder(
    size: Ints, out: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> list[int]:
    """Return how many pixels at the end of each axis no window reaches."""
    return [
        n - ((places - 1) * s - 2 * p + d * (k - 1) + 1)
        for n, places, k, s, p, d in zip(size, out, kernel, stride, padding, dilation, strict=True)
    ]


def _attributes(stride: Ints, padding: Ints, dilation: Ints, groups: int) -> dict[str, Any]:
    return {
        "strides": list(stride),
        "pads": [*padding, *padding],
        "dilations": list(dilation),
        "group": groups,
    }
