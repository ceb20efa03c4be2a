"""How much memory one adaptation takes: a liveness estimate over the graph."""

from __future__ import annotations

import math
from collections.abc import Iterable

import onnx
import onnx_ir as ir
from onnx import shape_inference

from edgemeta import bundle


def peak_memory(model: ir.Model, samples: int) -> int:
    """Estimate the peak of tensor bytes while `adapt.onnx` runs.

    Every value is counted from the node that makes it to the last node that reads it; weights and
    inputs all the time. What the runtime itself occupies is not in it.

    Args:
        model: the adapt graph.
        samples: size of the support set.

    Returns:
        Bytes.
    """
    proto = ir.to_proto(model)
    _fix_samples(proto.graph, samples)
    for graph in _graphs(proto.graph):
        del graph.value_info[:]
    sizes: dict[str, int] = {}
    inferred = shape_inference.infer_shapes(proto, data_prop=True)
    for graph in _graphs(inferred.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            sizes[value.name] = _bytes(value.type.tensor_type)
    weights = sum(_tensor_bytes(t) for g in _graphs(inferred.graph) for t in g.initializer)
    defaults = {tensor.name for tensor in inferred.graph.initializer}
    inputs = sum(sizes[v.name] for v in inferred.graph.input if v.name not in defaults)
    return weights + inputs + _peak(inferred.graph, sizes)


def _peak(graph: onnx.GraphProto, sizes: dict[str, int]) -> int:
    """Return the most bytes of values made inside `graph` that are alive at once."""
    last_reader: dict[str, int] = {}
    for position, node in enumerate(graph.node):
        for name in _reads(node):
            last_reader[name] = position
    kept = {value.name for value in graph.output}
    made: set[str] = set()
    alive = peak = 0
    for position, node in enumerate(graph.node):
        inside = max((_peak(body, sizes) for body in _bodies(node)), default=0)
        alive += sum(sizes.get(name, 0) for name in node.output)
        made.update(node.output)
        peak = max(peak, alive + inside)
        done = {n for n in (*_reads(node), *node.output) if last_reader.get(n, -1) <= position}
        alive -= sum(sizes.get(name, 0) for name in (done & made) - kept)
        made -= done
    return peak


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return what a node reads, the bodies of a Loop included."""
    inner = {n for body in _bodies(node) for other in body.node for n in _reads(other)}
    return set(node.input) | inner


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]


def _graphs(graph: onnx.GraphProto) -> Iterable[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for body in _bodies(node):
            yield from _graphs(body)


def _fix_samples(graph: onnx.GraphProto, samples: int) -> None:
    for value in graph.input:
        if value.name in (bundle.SUPPORT_X, bundle.SUPPORT_Y):
            value.type.tensor_type.shape.dim[0].dim_value = samples


def _bytes(tensor: onnx.TypeProto.Tensor) -> int:
    dims = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in tensor.shape.dim]
    return math.prod(dims) * _itemsize(tensor.elem_type)


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    return math.prod(map(int, tensor.dims)) * _itemsize(tensor.data_type)


def _itemsize(elem_type: int) -> int:
    if not elem_type:
        return 0
    return int(onnx.helper.tensor_dtype_to_np_dtype(elem_type).itemsize)
