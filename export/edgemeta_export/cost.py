"""What one adaptation costs: operations per step, and a liveness estimate of its memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper, shape_inference

from edgemeta import bundle
from edgemeta.meta.models.onnx_flops import PRODUCTS, product_flops
from edgemeta_export.assemble import INNER_LOOP, WAYS_DIM
from edgemeta_export.bodies import bodies_of, graphs_in
from edgemeta_export.short_names import CUTS

VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Identity"}
"""Operators whose output lies where their input does."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """The cost of one adaptation, for a support set of some size.

    Attributes:
        flops_per_step: floating-point operations inside the Loop, for one turn: two for each
            product of a matrix product or a convolution, one for each element of anything else.
        peak_memory_bytes: the most bytes of tensors that are alive at once. Every value counts from
            the node that makes it to the last node that reads it; weights and inputs all the time.
            What the runtime itself occupies is not in it.
    """

    flops_per_step: int
    peak_memory_bytes: int


def adaptation_cost(
    model: ir.Model, samples: int, ways: int | None = None, chunk: int | None = None
) -> Cost:
    """Estimate the cost of running `adapt.onnx`.

    Args:
        model: the adapt graph.
        samples: size of the support set.
        ways: classes of the task; matters to a shared head alone.
        chunk: samples in a slice of the support set; None where it is taken at once.
    """
    proto = ir.to_proto(model)
    weights = sum(_tensor_bytes(t) for g in graphs_in(proto.graph) for t in g.initializer)
    _fix_samples(proto.graph, samples)
    _fix_ways(proto.graph, ways or 1)
    at_once = min(samples, chunk or samples)
    _fix_slices(proto.graph, at_once)
    for graph in graphs_in(proto.graph):
        del graph.value_info[:]
    _inline_constants(proto.graph, {})
    inferred = shape_inference.infer_shapes(proto, data_prop=True).graph
    sizes, shapes = _sizes(inferred), _shapes(inferred)
    defaults = {tensor.name for tensor in inferred.initializer}
    inputs = sum(sizes[v.name] for v in inferred.input if v.name not in defaults)
    loops = [node for node in inferred.node if node.name == INNER_LOOP]
    steps = [node for loop in loops for body in bodies_of(loop) for node in body.node]
    slices = [node for step in steps for body in bodies_of(step) for node in body.node]
    flops = sum(_flops(n, shapes) for n in steps)
    return Cost(
        flops_per_step=flops + sum(_flops(n, shapes) for n in slices) * -(-samples // at_once),
        peak_memory_bytes=weights + inputs + _peak(inferred, sizes),
    )


def _flops(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    """Count the operations of one node; what has no known shape counts as a single number."""
    output = shapes.get(node.output[0], ())
    if node.op_type not in PRODUCTS:
        return math.prod(output)
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    inputs = [shapes.get(name, ()) for name in node.input]
    return product_flops(node.op_type, inputs, output, transposed=transposed)


def _sizes(graph: onnx.GraphProto) -> dict[str, int]:
    return {
        value.name: _bytes(value.type.tensor_type)
        for g in graphs_in(graph)
        for value in (*g.input, *g.output, *g.value_info)
    }


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    shapes = {
        value.name: _dims(value.type.tensor_type)
        for g in graphs_in(graph)
        for value in (*g.input, *g.output, *g.value_info)
    }
    return shapes | {t.name: tuple(t.dims) for g in graphs_in(graph) for t in g.initializer}


def _peak(graph: onnx.GraphProto, sizes: dict[str, int]) -> int:
    """Return the most bytes of values made inside `graph` that are alive at once."""
    memory: dict[str, str] = {}  # whose memory a view is in
    for node in graph.node:
        if node.op_type in VIEWS:
            memory[node.output[0]] = memory.get(node.input[0], node.input[0])
    last_reader: dict[str, int] = {}
    for position, node in enumerate(graph.node):
        for name in _reads(node):
            last_reader[memory.get(name, name)] = position
    kept = {memory.get(value.name, value.name) for value in graph.output}
    made: set[str] = set()
    alive = peak = 0
    for position, node in enumerate(graph.node):
        inside = max((_peak(body, sizes) for body in bodies_of(node)), default=0)
        new = [name for name in node.output if name not in memory]
        alive += sum(sizes.get(name, 0) for name in new)
        made.update(new)
        peak = max(peak, alive + inside)
        seen = {memory.get(name, name) for name in (*_reads(node), *node.output)}
        done = {name for name in seen if last_reader.get(name, -1) <= position}
        alive -= sum(sizes.get(name, 0) for name in (done & made) - kept)
        made -= done
    return peak


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, the bodies of a Loop included."""
    inner = {n for body in bodies_of(node) for other in body.node for n in _reads(other)}
    return set(node.input) | inner


def _inline_constants(graph: onnx.GraphProto, outer: dict[str, onnx.TensorProto]) -> None:
    """Copy the integer constants that bodies read into them, where shape inference can see them."""
    known = outer | {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for body in bodies_of(node):
            read = {name for inner in body.node for name in _reads(inner)}
            body.initializer.extend(
                tensor
                for name, tensor in known.items()
                if name in read and tensor.data_type == onnx.TensorProto.INT64
            )
            _inline_constants(body, known)


def _fix_samples(graph: onnx.GraphProto, samples: int) -> None:
    for value in graph.input:
        if value.name in (bundle.SUPPORT_X, bundle.SUPPORT_Y):
            value.type.tensor_type.shape.dim[0].dim_value = samples


def _fix_slices(graph: onnx.GraphProto, samples: int) -> None:
    """Say how many samples a slice has: the first ones, where inference sees only variables."""
    for node in (n for inner in graphs_in(graph) for n in inner.node):
        if node.op_type == "Slice" and node.name.endswith(CUTS):
            for position, bound in ((1, 0), (2, samples)):
                name = f"{node.name}/{position}"
                graph.initializer.append(numpy_helper.from_array(np.array([bound]), name))
                node.input[position] = name


def _fix_ways(graph: onnx.GraphProto, ways: int) -> None:
    """Say how many rows a shared head has in the Loop, where inference cannot see it."""
    for inner in graphs_in(graph):
        for value in inner.input:
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param == WAYS_DIM:
                    dim.dim_value = ways


def _dims(tensor: onnx.TypeProto.Tensor) -> Shape:
    return tuple(dim.dim_value if dim.HasField("dim_value") else 1 for dim in tensor.shape.dim)


def _bytes(tensor: onnx.TypeProto.Tensor) -> int:
    return math.prod(_dims(tensor)) * _itemsize(tensor.elem_type)


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    return math.prod(map(int, tensor.dims)) * _itemsize(tensor.data_type)


def _itemsize(elem_type: int) -> int:
    if not elem_type:
        return 0
    return int(onnx.helper.tensor_dtype_to_np_dtype(elem_type).itemsize)
