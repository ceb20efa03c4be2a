"""What the tracer writes out in simpler ops, because ONNX has no translation and we no rule.

PyTorch knows decompositions of its own for most such ops; the few that it lacks follow here, each
under the same name and arguments as in ATen. A decomposition is plain PyTorch: where speed on
onnxruntime does not matter it is simpler than a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

from edgemeta.meta.torch_private import ONNXRegistry, OpOverload, decomposition_table, schema_of
from edgemeta_export.quiet import quiet
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import OPSET

aten = torch.ops.aten

DECOMPOSITIONS: dict[Any, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def changes_its_input(target: Any) -> bool:
    """Whether an op writes into a tensor that it takes, as `relu_` does."""
    return isinstance(target, OpOverload) and schema_of(target).is_mutable


def can_be_lowered(target: Any) -> bool:
    """Whether what a traced graph calls needs no decomposition: a rule or PyTorch translates it."""
    return (
        not isinstance(target, OpOverload)
        # In-place ops are made functional later, all in one way.
        or changes_its_input(target)
        or target in RULES
        or translations().is_registered(target)
    )


@cache
def translations() -> ONNXRegistry:
    """Return what PyTorch's exporter can translate by itself.

    To make it, PyTorch reads the sources of all translations: it is done only once.
    """
    with quiet():  # it tells the user of packages that it would like to have
        return ONNXRegistry.from_torchlib(OPSET)


@cache
def needed_decompositions() -> dict[Any, Callable[..., Any]]:
    """Return the decomposition of every op that can be decomposed but not translated."""
    every = {**decomposition_table, **DECOMPOSITIONS}
    return {target: function for target, function in every.items() if not can_be_lowered(target)}


def decomposition(*targets: Any) -> Callable[[F], F]:
    """Register the decorated function as the decomposition of `targets`."""

    def register(function: F) -> F:
        for target in targets:
            DECOMPOSITIONS[target] = function
        return function

    return register


@decomposition(aten._trilinear.default)
def trilinear(
    i1: Tensor,
    i2: Tensor,
    i3: Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Tensor:
    """Product of three tensors, summed over some axes: what nn.Bilinear is made of."""
    for axis in expand1:
        i1 = i1.unsqueeze(axis)
    for axis in expand2:
        i2 = i2.unsqueeze(axis)
    for axis in expand3:
        i3 = i3.unsqueeze(axis)
    return (i1 * i2 * i3).sum(list(sumdim)) if sumdim else i1 * i2 * i3


@decomposition(aten._weight_norm_interface.default)
def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
    """Weight norm, w = v * g / ||v||, and the norms (Salimans and Kingma 2016, equation 2)."""
    norms = v.square().sum(_all_but(v, dim), keepdim=True).sqrt()
    return v * (g / norms), norms


@decomposition(aten._weight_norm_interface_backward.default)
def weight_norm_backward(
    grad_w: Tensor, saved_v: Tensor, saved_g: Tensor, saved_norms: Tensor, dim: int
) -> tuple[Tensor, Tensor]:
    """Gradients of weight norm (Salimans and Kingma 2016, equation 3)."""
    along = (grad_w * saved_v).sum(_all_but(saved_v, dim), keepdim=True) / saved_norms
    grad_v = saved_g / saved_norms * (grad_w - saved_v * (along / saved_norms))
    return grad_v, along


@decomposition(
    aten.replication_pad1d_backward.default,
    aten.replication_pad2d_backward.default,
    aten.replication_pad3d_backward.default,
)
def replication_pad_backward(grad_output: Tensor, input: Tensor, padding: Sequence[int]) -> Tensor:
    """Gradient of replication padding: what was copied adds up at the edge that it came from."""
    grad = grad_output
    for k in range(len(padding) // 2):  # the last axis first
        axis = input.ndim - 1 - k
        before, after = padding[2 * k : 2 * k + 2]
        size = input.shape[axis]
        first = grad.narrow(axis, 0, before + 1).sum(axis, keepdim=True)
        last = grad.narrow(axis, before + size - 1, after + 1).sum(axis, keepdim=True)
        if size == 1:
            grad = grad.sum(axis, keepdim=True)
        else:
            middle = grad.narrow(axis, before + 1, size - 2)
            grad = torch.cat([first, middle, last], axis)
    return grad


@decomposition(aten.select_backward.default)
def select_backward(
    grad_output: Tensor, input_sizes: Sequence[int], dim: int, index: int
) -> Tensor:
    """Gradient of x[:, index]: zeros on either side; PyTorch's own way ends in a slow scatter."""
    return slice_backward(grad_output.unsqueeze(dim), input_sizes, dim, index, index + 1, 1)


@decomposition(aten.slice_backward.default)
def slice_backward(
    grad_output: Tensor, input_sizes: Sequence[int], dim: int, start: int, end: int, step: int
) -> Tensor:
    """Gradient of x[:, start:end]: zeros on either side."""
    size = input_sizes[dim]
    if step != 1 or not isinstance(size, int):
        plain = decomposition_table[aten.slice_backward.default]
        found: Tensor = plain(grad_output, input_sizes, dim, start, end, step)
        return found
    first, dim = start % size if start < 0 else start, dim % len(input_sizes)
    behind = size - first - grad_output.shape[dim]
    after = len(input_sizes) - 1 - dim
    return torch.constant_pad_nd(grad_output, [0, 0] * after + [first, behind])


@decomposition(aten.native_layer_norm_backward.default)
def layer_norm_backward(
    grad_out: Tensor,
    input: Tensor,
    normalized_shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of layer norm (Ba, Kiros and Hinton 2016), with every sum as a matrix product.

    PyTorch's own decomposition takes five reductions and nearly twice as many full-size products.
    """
    size = math.prod(normalized_shape)
    grad, centred = (t.reshape(-1, size) for t in (grad_out, input - mean))
    rstd = rstd.reshape(-1, 1)
    normal = centred * rstd
    along = grad * normal
    scale = grad.new_ones(size) if weight is None else weight.reshape(size)
    mixer = (scale / size)[:, None]
    even = grad.mm(mixer) + normal * along.mm(mixer)
    scaled = grad if weight is None else grad * scale
    ones = grad.new_ones((1, grad.shape[0]))
    dx = ((scaled - even) * rstd).reshape(input.shape) if output_mask[0] else None
    dw = ones.mm(along).reshape(list(normalized_shape)) if output_mask[1] else None
    db = ones.mm(grad).reshape(list(normalized_shape)) if output_mask[2] else None
    return dx, dw, db


def _all_but(tensor: Tensor, dim: int) -> list[int]:
    return [axis for axis in range(tensor.ndim) if axis != dim % tensor.ndim]
