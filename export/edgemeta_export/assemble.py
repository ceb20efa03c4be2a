"""From lowered pieces to the two graphs of a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgemeta import bundle
from edgemeta_export.pieces import INDEX, LOSS, LR, Pieces
from edgemeta_export.rules.registry import OPSET

WAYS_DIM, GIVEN_WAYS = "ways", "given_ways"
"""The free axis of a shared head: of what is adapted, and of the state that comes in."""

IR_VERSION = 10  # onnxruntime 1.20, the oldest that is supported, reads no newer one

Values = dict[str, ir.Value]


def adapt_model(pieces: Pieces, inner_lr: float) -> ir.Model:
    """Build `adapt.onnx`: a Loop over inner steps, then one last forward over the support set.

    The body of the Loop sees the support set and the frozen tensors as values of the outer graph.

    Args:
        pieces: the lowered inner loop.
        inner_lr: what the input `lr_scale` multiplies: the rate, or 1 where the pieces hold rates.
    """
    step_inputs = {value.name: value for value in pieces.step.graph.inputs}
    x, y = (_like(step_inputs[n], n) for n in (bundle.SUPPORT_X, bundle.SUPPORT_Y))
    steps = _value(bundle.STEPS, ir.DataType.INT64, [])
    lr_scale = _value(bundle.LR_SCALE, ir.DataType.FLOAT, [])
    graph, init = _graph("adapt", [x, y, steps, lr_scale], pieces)
    init |= _grown(graph, pieces, init, y)

    rate = _constant(graph, "inner_lr", np.float32(inner_lr))
    lr = _append(graph, "Mul", [lr_scale, rate], LR)
    given = init | {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y, LR: lr}
    given |= {name: _constant(graph, name, rates.numpy()) for name, rates in pieces.rates.items()}
    start = {name: init[name] for name in pieces.init.params}
    moments = {
        name: _zeros_like(graph, name, start[name.partition("/")[2]])
        if name in pieces.per_class
        else _zeros(graph, name, tuple(moment.shape))
        for name, moment in pieces.init.moments.items()
    }
    after, losses_before = _inner_loop(graph, pieces, given, start | moments, steps)
    adapted = {bundle.next_name(name): after[name] for name in start}

    last = _splice(graph, graph, pieces.finish, given | {n: after[n] for n in start}, "last")
    axis = _constant(graph, "first_axis", np.array([0]))
    last_loss = _append(graph, "Unsqueeze", [last[LOSS], axis], "last_loss")
    losses = _append(graph, "Concat", [losses_before, last_loss], bundle.LOSSES, {"axis": 0})
    losses.type, losses.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["losses"])

    kept = _statistics(graph, steps, {name: init[name] for name in pieces.init.buffers}, last)
    graph.outputs.extend([*adapted.values(), *kept, losses])
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="edgemeta")


def predict_model(pieces: Pieces) -> ir.Model:
    """Build `predict.onnx`: the forward pass under a given state, or under the init."""
    inputs = {value.name: value for value in pieces.predict.graph.inputs}
    x = _like(inputs[bundle.QUERY_X], bundle.QUERY_X)
    graph, init = _graph("predict", [x], pieces)
    found = _splice(graph, graph, pieces.predict, init | {bundle.QUERY_X: x}, "predict")
    (output,) = found.values()
    (output.name,) = found
    graph.outputs.append(output)
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="edgemeta")


def _graph(name: str, inputs: Sequence[ir.Value], pieces: Pieces) -> tuple[ir.Graph, Values]:
    """Start a graph: state and ways as inputs with a default, the frozen tensors inside.

    Returns:
        The graph, and the values of the state, of the frozen tensors and of the ways by name.
    """
    state = {n: _initializer(n, t) for n, t in (pieces.init.params | pieces.init.buffers).items()}
    if pieces.ways is not None:
        state[bundle.WAYS] = _initializer(bundle.WAYS, np.array(pieces.ways))
    for n in state.keys() & set(pieces.per_class):
        state[n].shape = ir.Shape([GIVEN_WAYS, *pieces.init.params[n].shape[1:]])
    frozen = {name: _initializer(name, t) for name, t in pieces.init.frozen.items()}
    graph = ir.Graph([*inputs, *state.values()], [], nodes=[], opset_imports={"": OPSET}, name=name)
    for value in (*state.values(), *frozen.values()):
        graph.register_initializer(value)
    return graph, state | frozen


def _grown(graph: ir.Graph, pieces: Pieces, state: Values, y: ir.Value) -> Values:
    """Append what gives a shared head a row for each class; see `InnerLoop.grow`.

    There are as many rows as the state has, as the labels need, or as the optional input `ways`
    says, whichever is most.

    Returns:
        The rows (ways, ...) by torch name; nothing without a shared head.
    """
    names = [name for name in pieces.per_class if name in pieces.init.params]
    if not names:
        return {}
    asked = _initializer(bundle.WAYS, np.array(1))
    graph.register_initializer(asked)
    graph.inputs.append(asked)
    one = _constant(graph, "classes/one", np.array(1))
    last = _append(graph, "ReduceMax", [y], "classes/last_label", {"keepdims": 0})
    needed = _append(graph, "Add", [last, one], "classes/needed")
    first_axis = {"start": 0, "end": 1}
    given = _append(graph, "Shape", [state[names[0]]], "classes/given", first_axis)
    ways = _append(graph, "Max", [given, needed, asked], "classes/all")
    fresh = _append(graph, "Sub", [ways, given], "classes/fresh")
    grown = {}
    for name in names:
        row = pieces.init.params[name]  # (1, ...)
        # The state's own input, whose default this is, may be something else by now.
        shared = _constant(graph, f"classes/{name}/shared", row.numpy())
        inner = _constant(graph, f"classes/{name}/inner", np.array(row.shape[1:], np.int64))
        size = _append(graph, "Concat", [fresh, inner], f"classes/{name}/shape", {"axis": 0})
        rows = _append(graph, "Expand", [shared, size], f"classes/{name}/fresh")
        grown[name] = _append(graph, "Concat", [state[name], rows], f"classes/{name}", {"axis": 0})
        grown[name].type = state[name].type
        grown[name].shape = ir.Shape([WAYS_DIM, *row.shape[1:]])
    return grown


def _inner_loop(
    graph: ir.Graph, pieces: Pieces, given: Values, start: Values, steps: ir.Value
) -> tuple[Values, ir.Value]:
    """Append the Loop.

    Returns:
        The parameters and moments after the last step, by torch name; the loss before each step.
    """
    iteration = _value("loop/index", ir.DataType.INT64, [])
    condition = _value("loop/condition", ir.DataType.BOOL, [])
    inner = {name: _like(value, f"step/{name}") for name, value in start.items()}
    body = ir.Graph(
        [iteration, condition, *inner.values()],
        [],
        nodes=[],
        opset_imports={"": OPSET},
        name="inner_step",
    )
    go_on = _append(body, "Identity", [condition], "loop/go_on")
    found = _splice(body, graph, pieces.step, given | inner | {INDEX: iteration}, "step")
    body.outputs.extend([go_on, *(found[bundle.next_name(n)] for n in start), found[LOSS]])
    after = {name: _like(value, bundle.next_name(name)) for name, value in start.items()}
    losses = _value("losses_before", ir.DataType.FLOAT, ["steps"])
    graph.append(
        ir.node(
            "Loop",
            [steps, None, *start.values()],
            {"body": body},
            outputs=[*after.values(), losses],
            name="inner_loop",
        )
    )
    return after, losses


def _statistics(graph: ir.Graph, steps: ir.Value, before: Values, last: Values) -> list[ir.Value]:
    """Take the support set's statistics, but keep those of the given state after zero steps."""
    if not before:
        return []
    moved = _append(graph, "Greater", [steps, _constant(graph, "zero", np.array(0))], "moved")
    kept = []
    for name, value in before.items():
        after = _append(
            graph, "Where", [moved, last[bundle.next_name(name)], value], bundle.next_name(name)
        )
        after.type, after.shape = value.type, value.shape
        kept.append(after)
    return kept


def _splice(
    target: ir.Graph, outer: ir.Graph, piece: ir.Model, given: Mapping[str, ir.Value], prefix: str
) -> Values:
    """Move the nodes of `piece` to the end of `target`, reading `given` in place of its inputs.

    Args:
        target: the graph that gets the nodes.
        outer: the graph that gets the constants: `target`, or the one around it.
        piece: a lowered function; it is used up.
        given: a value for each of its inputs, by name.
        prefix: set before the names of its inner values, which must be unique in a model.

    Returns:
        The values of its outputs, by name.
    """
    source = piece.graph
    names = [str(value.name) for value in source.outputs]
    for value in source.inputs:
        value.replace_all_uses_with(given[str(value.name)], replace_graph_outputs=True)
    outputs = dict(zip(names, source.outputs, strict=True))
    source.outputs.clear()
    constants = list(source.initializers.values())
    source.initializers.clear()
    for constant in constants:
        constant.name = f"{prefix}/{constant.name}"
        outer.register_initializer(constant)
    nodes = list(source)
    source.remove(nodes)
    for node in nodes:
        node.name = f"{prefix}/{node.name}"
        for value in node.outputs:
            value.name = f"{prefix}/{value.name}"
    target.extend(nodes)
    return {name: _own(target, value, f"{prefix}/{name}") for name, value in outputs.items()}


def _own(graph: ir.Graph, value: ir.Value, name: str) -> ir.Value:
    """Return `value` as one that a node of `graph` makes: an output cannot be an input as well."""
    if value.producer() is not None and value.producer().graph is graph:  # type: ignore[union-attr]
        return value
    copy = _append(graph, "Identity", [value], name)
    copy.type, copy.shape = value.type, value.shape
    return copy


def _append(
    graph: ir.Graph,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    attributes: Mapping[str, Any] | None = None,
) -> ir.Value:
    node = ir.node(op_type, inputs, attributes, name=f"node:{name}")
    node.outputs[0].name = name
    graph.append(node)
    return node.outputs[0]


def _zeros(graph: ir.Graph, name: str, shape: tuple[int, ...]) -> ir.Value:
    """Append zeros that take no room in the file."""
    size = _constant(graph, f"{name}/shape", np.array(shape, np.int64))
    zeros = _append(graph, "ConstantOfShape", [size], f"{name}/zeros")
    zeros.type, zeros.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
    return zeros


def _zeros_like(graph: ir.Graph, name: str, value: ir.Value) -> ir.Value:
    size = _append(graph, "Shape", [value], f"{name}/shape")
    zeros = _append(graph, "ConstantOfShape", [size], f"{name}/zeros")
    zeros.type, zeros.shape = value.type, value.shape
    return zeros


def _constant(graph: ir.Graph, name: str, value: Any) -> ir.Value:
    constant = _initializer(name, value)
    graph.register_initializer(constant)
    return constant


def _initializer(name: str, value: Any) -> ir.Value:
    array = np.asarray(value)
    tensor = ir.tensor(array, name=name)
    return ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(array.shape),
        const_value=tensor,
    )


def _value(name: str, dtype: ir.DataType, shape: list[int | str]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))


def _like(value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=name, type=value.type, shape=value.shape)
