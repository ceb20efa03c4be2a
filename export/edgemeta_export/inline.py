"""Whole ONNX graphs in the place of the nodes that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from torch import nn

from edgemeta.meta.models.onnx_graph import GRAPHS, OnnxGraph
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta_export.graph_building import constant, typed
from edgemeta_export.rules.onnx_graph import DOMAIN, KEY
from edgemeta_export.rules.registry import OPSET

LARGE = 256
"""Bytes from which on a weight belongs into `init.bin`. Smaller constants, such as shapes, stay in
the graph, where the inference of shapes can see them."""


def graph_names(model: nn.Module) -> dict[str, str]:
    """Return what the graphs of a model are called, by their key: the names of their modules."""
    return {
        module.graph.key: name or "onnx"
        for name, module in model.named_modules()
        if isinstance(module, OnnxModule)
    }


def inline_graphs(model: ir.Model, names: Mapping[str, str]) -> set[str]:
    """Put the nodes of ONNX graphs in the place of their placeholders.

    Args:
        model: a finished graph; it is changed in place.
        names: what the graphs are called (see `graph_names`): their weights are named after them,
            the same in all models.

    Returns:
        The names of the weights that belong into `init.bin`.
    """
    weights: set[str] = set()
    for node in [n for n in model.graph.all_nodes() if n.domain == DOMAIN]:
        key = node.attributes[KEY].as_string()
        weights |= _inline(model.graph, node, GRAPHS[key], names.get(key, "onnx"))
    for graph in model.graphs():
        graph.opset_imports.pop(DOMAIN, None)
    return weights


def _inline(main: ir.Graph, node: ir.Node, graph: OnnxGraph, name: str) -> set[str]:
    source = ir.from_proto(ir.to_proto(graph.lowered)).graph
    prefix = str(node.name)
    large, shared = set(), {}
    for value in list(source.initializers.values()):
        own, tensor = f"{name}/{value.name}", value.const_value
        assert tensor is not None  # noqa: S101  # an initializer has a value
        if own not in main.initializers:
            main.register_initializer(
                ir.Value(name=own, type=value.type, shape=value.shape, const_value=tensor)
            )
        shared[value] = main.initializers[own]
        if tensor.nbytes >= LARGE:
            large.add(own)
    source.initializers.clear()
    for inner in source.all_nodes():
        inner.name = f"{prefix}/{inner.name}" if inner.name else None
        for value in inner.outputs:
            value.name = f"{prefix}/{value.name}"
    for inner_graph in source.subgraphs():
        if inner_graph is not source:
            for value in inner_graph.inputs:
                value.name = f"{prefix}/{value.name}"
    for value, outside in shared.items():
        value.replace_all_uses_with(outside, replace_graph_outputs=True)
    place = node.graph
    assert isinstance(place, ir.Graph)  # noqa: S101  # it was reached through one
    if graph.per_sample:
        made = _each_sample(main, place, node, source, graph)
    else:
        made = _spliced(place, node, source, list(node.inputs))
    for old, new in zip(list(node.outputs), made, strict=True):
        if new.type is None:
            new.type = old.type
        if new.shape is None:
            new.shape = old.shape
        asked_for = old.name if old.is_graph_output() else None
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        if asked_for is not None:
            old.name, new.name = None, asked_for
    place.remove(node, safe=True)
    return large


def _spliced(
    place: ir.Graph, before: ir.Node, source: ir.Graph, given: Sequence[ir.Value | None]
) -> list[ir.Value]:
    """Move the nodes of `source` in front of a node, reading `given`; return its outputs."""
    for value, outside in zip(list(source.inputs), given, strict=True):
        assert outside is not None  # noqa: S101  # the placeholder has all inputs
        value.replace_all_uses_with(outside, replace_graph_outputs=True)
    outputs = list(source.outputs)
    source.outputs.clear()
    nodes = list(source)
    source.remove(nodes)
    place.insert_before(before, nodes)
    return outputs


def _each_sample(
    main: ir.Graph, place: ir.Graph, node: ir.Node, source: ir.Graph, graph: OnnxGraph
) -> list[ir.Value]:
    """Run `source` for one sample after the other: a Scan over axis 0."""
    prefix = str(node.name)
    axes = [_rank(value) for value in node.inputs]
    keep = graph.keeps_axis(axes)
    first = constant(main, f"{prefix}/first_axis", np.array([0]))
    body_inputs, given, scanned, nodes = [], [], [], []
    for number, (value, count) in enumerate(zip(node.inputs, axes, strict=True)):
        assert value is not None  # noqa: S101  # the placeholder has all inputs
        if not count:
            given.append(value)
            continue
        assert value.dtype is not None and value.shape is not None  # noqa: S101, PT018
        alone = typed(f"{prefix}/sample/{number}", value.dtype, [])
        alone.shape = ir.Shape(list(value.shape)[1:])
        body_inputs.append(alone)
        scanned.append(value)
        given.append(alone)
        if keep:
            nodes.append(_node("Unsqueeze", [alone, first], f"{prefix}/row/{number}"))
            given[-1] = nodes[-1].outputs[0]
    body = ir.Graph(body_inputs, [], nodes=nodes, opset_imports={"": OPSET}, name="sample")
    end = _node("Identity", [given[0]], f"{prefix}/end")
    body.append(end)
    made = _spliced(body, end, source, given)
    body.remove(end)
    for number, (value, output) in enumerate(zip(made, node.outputs, strict=True)):
        op = _node("Squeeze", [value, first], f"{prefix}/made/{number}") if keep else None
        if op is None:  # an output of a body must be made in it, and once
            op = _node("Identity", [value], f"{prefix}/made/{number}")
        body.append(op)
        result = op.outputs[0]
        result.type = output.type
        if output.shape is not None:
            result.shape = ir.Shape(list(output.shape)[1:])
        body.outputs.append(result)
    scan = ir.node(
        "Scan",
        scanned,
        {"body": body, "num_scan_inputs": len(scanned)},
        num_outputs=len(made),
        name=f"{prefix}/each",
    )
    for number, value in enumerate(scan.outputs):
        value.name = f"{prefix}/each/{number}"
    place.insert_before(node, [scan])
    return list(scan.outputs)


def _node(op_type: str, inputs: list[Any], name: str) -> ir.Node:
    node = ir.node(op_type, inputs, name=f"node:{name}")
    node.outputs[0].name = name
    return node


def _rank(value: ir.Value | None) -> int:
    assert value is not None and value.shape is not None  # noqa: S101, PT018  # the tracer says it
    return len(value.shape)
