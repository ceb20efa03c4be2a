"""Softmax where a whole row may be masked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten


@rule(aten._safe_softmax.default)
def safe_softmax(self: Any, dim: int, dtype: int | None = None) -> Any:
    """Softmax of attention scores: zeros in a row in which all are minus infinity.

    The largest score tells; PyTorch's decomposition compares every score, at four times the price.

    Shapes: any, (*) -> (*).
    """
    largest = op.ReduceMax(self, constant([dim]), keepdims=1)
    empty = op.Equal(largest, constant(-np.inf, np.float32))
    return op.Where(empty, constant(0, np.float32), op.Softmax(self, axis=dim))
