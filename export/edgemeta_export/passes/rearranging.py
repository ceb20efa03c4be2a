"""Nodes that move numbers about without changing any: what `cancel` and `carry` reason about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

LARGEST = 1 << 24
"""Tensors with more numbers than this are not played through."""


def is_rearranging(node: ir.Node | None) -> bool:
    """Whether a node is a Transpose, or a Reshape to a shape that the graph knows."""
    if node is None:
        return False
    if node.op_type == "Transpose":
        return True
    return node.op_type == "Reshape" and _target(node) is not None


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """Return a shape without free dimensions; None if there is one."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(value.shape)
    return tuple(int(n) for n in sizes) if all(isinstance(n, int) for n in sizes) else None  # type: ignore[arg-type]


def played(nodes: Iterable[ir.Node], array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return `array` as a chain of rearranging nodes leaves it."""
    for node in nodes:
        if node.op_type == "Transpose":
            perm = node.attributes.get("perm")
            array = array.transpose(None if perm is None else tuple(perm.as_ints()))
        else:
            target = _target(node)
            assert target is not None  # noqa: S101  # see is_rearranging
            sizes = [array.shape[i] if n == 0 else n for i, n in enumerate(target)]
            array = array.reshape(sizes)
    return array


def numbered(shape: Sequence[int]) -> NDArray[np.int64] | None:
    """Return a tensor in which each number says where it began; None if that is too large."""
    count = int(np.prod(shape))
    return np.arange(count).reshape(shape) if count <= LARGEST else None


def _target(reshape: ir.Node) -> list[int] | None:
    """Return the shape that a Reshape is given as a constant."""
    value = reshape.inputs[1]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else [int(n) for n in tensor.numpy()]
