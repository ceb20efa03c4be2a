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
