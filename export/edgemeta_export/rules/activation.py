"""Activations, backward, where the decomposition is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten


@rule(aten.threshold_backward.default)
def threshold_backward(grad_output: Any, input: Any, threshold: float) -> Any:
    """Gradient of ReLU: a product with 0 and 1; the decomposition's Where is slow in onnxruntime.

    Shapes: any, (*) and (*) -> (*).
    """
    passes = op.Greater(input, constant(threshold, np.float32))
    return op.Mul(grad_output, op.CastLike(passes, grad_output))
