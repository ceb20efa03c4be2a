"""Picking rows by a constant index."""

from __future__ import annotations

from typing import Any

import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten


@rule(aten.index_select.default)
def index_select(input: Any, dim: int, index: Any) -> Any:
    """Rows of `input` along `dim`; PyTorch's translation doubles the index by making it int64.

    Shapes: input (*, D, *), index (K,) int32 or int64 -> (*, K, *).
    """
    if len(input.shape) == 0:
        return op.Reshape(op.Gather(op.Reshape(input, constant([-1])), index), constant([]))
    return op.Gather(input, index, axis=dim)
