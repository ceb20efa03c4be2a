"""Activations, backward, where the decomposition is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten

STEEPEST = 3e38


@rule(aten.threshold_backward.default)
def threshold_backward(grad_output: Any, input: Any, threshold: float) -> Any:
    """Gradient of ReLU: a product with 0 and 1; the decomposition's Where is slow in onnxruntime.

    A sigmoid made of straight lines, as steep as float32 can be, is that 0 and 1 in one node. It is
    something between for inputs below 4e-39, where float32 loses its digits anyway.

    Shapes: any, (*) and (*) -> (*).
    """
    if threshold == 0:
        return op.Mul(grad_output, op.HardSigmoid(input, alpha=STEEPEST, beta=0.0))
    passes = op.Greater(input, constant(threshold, np.float32))
    return op.Mul(grad_output, op.CastLike(passes, grad_output))


@rule(aten.leaky_relu_backward.default)
def leaky_relu_backward(
    grad_output: Any, self: Any, negative_slope: float, self_is_result: bool
) -> Any:
    """Gradient of leaky ReLU: a product with 1 and the slope.

    Shapes: any, (*) and (*) -> (*).
    """
    # The result has the sign of the input, or PyTorch would not have asked for it.
    passes = op.HardSigmoid(self, alpha=STEEPEST, beta=0.0)
    if 0 <= negative_slope <= 1:
        factor = op.Max(passes, constant(negative_slope, np.float32))
    else:
        rise = op.Mul(passes, constant(1 - negative_slope, np.float32))
        factor = op.Add(rise, constant(negative_slope, np.float32))
    return op.Mul(grad_output, factor)


@rule(aten.hardtanh_backward.default)
def hardtanh_backward(grad_output: Any, self: Any, min_val: float, max_val: float) -> Any:
    """Gradient of a clamp, such as ReLU6: a product with 0 and 1 for either bound.

    Shapes: any, (*) and (*) -> (*).
    """
    above = self if min_val == 0 else op.Sub(self, constant(min_val, np.float32))
    below = op.Sub(constant(max_val, np.float32), self)
    passes = op.Mul(
        op.HardSigmoid(above, alpha=STEEPEST, beta=0.0),
        op.HardSigmoid(below, alpha=STEEPEST, beta=0.0),
    )
    return op.Mul(grad_output, passes)
