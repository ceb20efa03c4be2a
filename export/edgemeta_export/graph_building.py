"""The few things that building a graph by hand needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgemeta_export.rules.registry import OPSET

Values = dict[str, ir.Value]


def append(
    graph: ir.Graph,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    attributes: Mapping[str, Any] | None = None,
) -> ir.Value:
    """Append a node with one output, and return that under the given name."""
    node = ir.node(op_type, inputs, attributes, name=f"node:{name}")
    node.outputs[0].name = name
    graph.append(node)
    return node.outputs[0]


def initializer(name: str, value: Any) -> ir.Value:
    """Return a value that a graph may register as an initializer."""
    array = np.asarray(value)
    tensor = ir.tensor(array, name=name)
    return ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(array.shape),
        const_value=tensor,
    )


def constant(graph: ir.Graph, name: str, value: Any) -> ir.Value:
    """Register an initializer, and return it."""
    made = initializer(name, value)
    graph.register_initializer(made)
    return made


def typed(name: str, dtype: ir.DataType, shape: Sequence[int | str]) -> ir.Value:
    """Return a value that no node makes yet."""
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def like(value: ir.Value, name: str | None) -> ir.Value:
    """Return a value of the same type and shape that no node makes yet."""
    return ir.Value(name=name, type=value.type, shape=value.shape)


def own(graph: ir.Graph, value: ir.Value, name: str) -> ir.Value:
    """Return `value` as one that a node of `graph` makes: an output cannot be an input as well."""
    if value.producer() is not None and value.producer().graph is graph:  # type: ignore[union-attr]
        return value
    copy = append(graph, "Identity", [value], name)
    copy.type, copy.shape = value.type, value.shape
    return copy


def zeros_like(graph: ir.Graph, name: str, value: ir.Value) -> ir.Value:
    """Append zeros of the type and shape that a value has."""
    size = append(graph, "Shape", [value], f"{name}/shape")
    zeros = append(graph, "ConstantOfShape", [size], f"{name}/zeros")
    zeros.type, zeros.shape = value.type, value.shape
    return zeros


def start_body(name: str, prefix: str, carried: Sequence[ir.Value]) -> tuple[ir.Graph, ir.Value]:
    """Start the body of a Loop that takes all of its turns.

    Args:
        name: of the body.
        prefix: set before the names of its own values.
        carried: what goes from turn to turn, as the body sees it.

    Returns:
        The body, whose outputs behind the condition are still to be added, and the turn's number.
    """
    index = typed(f"{prefix}/index", ir.DataType.INT64, [])
    condition = typed(f"{prefix}/condition", ir.DataType.BOOL, [])
    inputs = [index, condition, *carried]
    body = ir.Graph(inputs, [], nodes=[], opset_imports={"": OPSET}, name=name)
    body.outputs.append(append(body, "Identity", [condition], f"{prefix}/go_on"))
    return body, index


def append_loop(
    graph: ir.Graph,
    name: str,
    turns: ir.Value,
    start: Iterable[ir.Value],
    body: ir.Graph,
    outputs: Sequence[ir.Value],
) -> None:
    """Append the Loop of a finished body; `outputs` are what it carried, then what it scanned."""
    inputs = [turns, None, *start]
    graph.append(ir.node("Loop", inputs, {"body": body}, outputs=outputs, name=name))


def splice(
    target: ir.Graph, outer: ir.Graph, source: ir.Graph, given: Mapping[str, ir.Value], prefix: str
) -> Values:
    """Move the nodes of `source` to the end of `target`, reading `given` in place of its inputs.

    Args:
        target: the graph that gets the nodes.
        outer: the graph that gets the constants: `target`, or the one around it.
        source: a lowered function, or the body of a Loop; it is used up.
        given: a value for each of its inputs, by name.
        prefix: set before the names of its inner values, which must be unique in a model.

    Returns:
        The values of its outputs, by name.
    """
    names = [str(value.name) for value in source.outputs]
    for value in source.inputs:
        value.replace_all_uses_with(given[str(value.name)], replace_graph_outputs=True)
    outputs = dict(zip(names, source.outputs, strict=True))
    source.outputs.clear()
    constants = list(source.initializers.values())
    source.initializers.clear()
    for value in constants:
        value.name = f"{prefix}/{value.name}"
        outer.register_initializer(value)
    nodes = list(source)
    source.remove(nodes)
    for node in nodes:
        node.name = f"{prefix}/{node.name}" if node.name else None
        for value in node.outputs:
            value.name = f"{prefix}/{value.name}"
    target.extend(nodes)
    return {name: own(target, value, f"{prefix}/{name}") for name, value in outputs.items()}
