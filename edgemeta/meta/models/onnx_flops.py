"""How many operations the products in an ONNX graph are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

Shape = Sequence[int]

KERNELS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}
"""Convolutions, and which of their inputs is the kernel (out, in / groups, *)."""

MATRICES = {"MatMul", "MatMulInteger", "QLinearMatMul"}
RECURRENT = {"RNN", "GRU", "LSTM"}
PRODUCTS = {*KERNELS, *MATRICES, *RECURRENT, "Gemm", "ConvTranspose"}
"""Operators whose products are counted; all else is cheap beside them."""


def product_flops(
    op: str, inputs: Sequence[Shape], output: Shape, *, transposed: bool = False
) -> int:
    """Return the operations of one node: two for each product, one to multiply and one to add.

    Args:
        op: of `PRODUCTS`; 0 is returned for others.
        inputs: their shapes; () where one is not known.
        output: shape of the first output.
        transposed: Gemm: whether its first input is.
    """
    made, left = math.prod(output), inputs[0] if inputs else ()
    if op in KERNELS:
        return 2 * made * math.prod(inputs[KERNELS[op]][1:])
    if op in MATRICES:
        return 2 * made * (left[-1] if left else 1)
    if op == "Gemm":
        return 2 * made * (left[0 if transposed else 1] if len(left) == 2 else 1)
    if op == "ConvTranspose":
        return 2 * math.prod(left) * math.prod(inputs[1][1:])
    if op in RECURRENT:  # X (steps, samples, *), and both matrices once for each of them
        return 2 * math.prod(left[:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))
    return 0


def graph_flops(model: ir.Model, inputs: Mapping[str, NDArray[Any]]) -> int:
    """Return the operations of the products of a graph, for inputs of some shapes.

    The graph is run to see the shapes of what it computes; inferring them fails where they depend
    on values. Nodes in the branches of an If or in the body of a Loop are not counted.

    Args:
        model: the graph.
        inputs: by name; their values do not matter.
    """
    proto = ir.to_proto(model)
    nodes = [node for node in proto.graph.node if node.op_type in PRODUCTS]
    known = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    known |= {name: x.shape for name, x in inputs.items()}
    unknown = sorted({n for node in nodes for n in (*node.input, node.output[0]) if n} - {*known})
    if unknown:
        del proto.graph.output[:]
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in unknown)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        read = {value.name for value in session.get_inputs()}
        found = session.run(unknown, {name: x for name, x in inputs.items() if name in read})
        known |= {name: x.shape for name, x in zip(unknown, found, strict=True)}
    return sum(
        product_flops(
            node.op_type,
            [known.get(name, ()) for name in node.input],
            known[node.output[0]],
            transposed=any(a.name == "transA" and a.i for a in node.attribute),
        )
        for node in nodes
    )
