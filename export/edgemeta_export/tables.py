"""Large constants in less room: indices in 16 bits, and equal rows once.

Laying images out as rows takes tables of indices, and the gradient of a grouped convolution the
same small kernel for every channel. onnxruntime makes the constants that they stand for when it
loads the graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgemeta_export.graph_building import initializer

LEAST = 512  # bytes; below, the node that widens a constant again takes as much as it saves
MOST_INDEX = np.iinfo(np.uint16).max


def shrink_constants(model: ir.Model) -> None:
    """Replace large constants of the outer graph, in place, by smaller ones and what widens them.

    The model computes the same. A table is then of uint16, which no other constant is.
    """
    graph = model.graph
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        if tensor is None or tensor.nbytes < LEAST or value in graph.inputs:
            continue
        if tensor.dtype == ir.DataType.INT32 and _are_indices(tensor.numpy()):
            narrow = initializer(f"{value.name}/table", tensor.numpy().astype(np.uint16))
            _widen(graph, value, "Cast", [narrow], {"to": ir.DataType.INT32})
        elif tensor.dtype == ir.DataType.FLOAT and _has_equal_rows(tensor.numpy()):
            row = initializer(f"{value.name}/row", tensor.numpy()[:1].copy())
            shape = initializer(f"{value.name}/shape", np.array(tensor.shape.numpy(), np.int64))
            _widen(graph, value, "Expand", [row, shape], {})


def _are_indices(array: NDArray[Any]) -> bool:
    return bool((array >= 0).all() and (array <= MOST_INDEX).all())


def _has_equal_rows(array: NDArray[Any]) -> bool:
    return array.ndim > 0 and len(array) > 1 and bool((array == array[:1]).all())


def _widen(
    graph: ir.Graph,
    value: ir.Value,
    op_type: str,
    inputs: list[ir.Value],
    attributes: dict[str, int],
) -> None:
    """Have a node make a constant from smaller ones, in front of all other nodes."""
    node = ir.node(op_type, inputs, attributes)
    (made,) = node.outputs
    made.type, made.shape = value.type, value.shape
    value.replace_all_uses_with(made, replace_graph_outputs=True)
    del graph.initializers[str(value.name)]
    made.name = value.name
    for each in inputs:
        graph.register_initializer(each)
    if len(graph):
        graph.insert_before(graph[0], node)
    else:
        graph.append(node)
