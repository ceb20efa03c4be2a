"""Products of matrices with vectors."""

from __future__ import annotations

from typing import Any

import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten


@rule(aten.mv.default)
def mv(self: Any, vec: Any) -> Any:
    """Matrix times vector, as a matrix with one column.

    onnxruntime (1.20 to 1.32) fuses a Transpose into the MatMul behind it, and then computes
    something else where the second factor is a vector.

    Shapes: self (N, M), vec (M,) -> (N,).
    """
    last = constant([1])
    return op.Squeeze(op.MatMul(self, op.Unsqueeze(vec, last)), last)
