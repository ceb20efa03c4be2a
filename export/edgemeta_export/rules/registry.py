"""The table of rules, and the door for whoever adds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import onnx_ir
from onnxscript import opset20 as op

from edgemeta.meta.models.onnx_file import OPSET
from edgemeta.meta.torch_private import OpOverload

RULES: dict[Callable[..., Any], Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["OPSET", "RULES", "constant", "op", "rule"]


def constant(value: Any, dtype: Any = np.int64) -> Any:
    """Return an ONNX constant."""
    tensor: Any = onnx_ir.tensor(np.asarray(value, dtype))
    return op.Constant(value=tensor)


def rule(*targets: OpOverload) -> Callable[[F], F]:
    """Register the decorated function as the translation of `targets`."""

    def register(function: F) -> F:
        for target in targets:
            RULES[target] = function
        return function

    return register
