"""Numbers only known on the device, such as 1 / number of samples, and arithmetic with them."""

from __future__ import annotations

from typing import Any

import torch

from edgemeta_export.rules.registry import op, rule

aten = torch.ops.aten


@rule(aten.mul.Scalar)
def mul_scalar(input: Any, other: Any) -> Any:
    """Product with a scalar, also one computed from the number of samples.

    Shapes: any, (*) -> (*).
    """
    return op.Mul(input, op.CastLike(other, input))


@rule(aten.div.Scalar)
def div_scalar(input: Any, other: Any) -> Any:
    """Quotient by a scalar, also one computed from the number of samples.

    Shapes: any, (*) -> (*).
    """
    return op.Div(input, op.CastLike(other, input))


@rule(aten.sym_numel.default)
def numel(self: Any) -> Any:
    """Number of elements.

    Shapes: any -> ().
    """
    return op.Size(self)
