"""From lowered lowered to the two graphs of a bundle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgemeta import bundle
from edgemeta_export.graph_building import (
    Values,
    append,
    append_loop,
    constant,
    initializer,
    like,
    splice,
    start_body,
    typed,
    zeros_like,
)
from edgemeta_export.loop_functions import INDEX, LOSS, LR
from edgemeta_export.lowered_loop import LoweredLoop, SlicedStep
from edgemeta_export.rules.registry import OPSET
from edgemeta_export.slices import Slices, append_slices, over_slices

WAYS_DIM, GIVEN_WAYS = "ways", "given_ways"
"""The free axis of a shared head: of what is adapted, and of the state that comes in."""

INNER_LOOP = "inner_loop"

IR_VERSION = 10  # onnxruntime 1.20, the oldest that is supported, reads no newer one


def adapt_model(lowered: LoweredLoop, inner_lr: float) -> ir.Model:
    """Build `adapt.onnx`: a Loop over inner steps, then one last forward over the support set.

    The body of the Loop sees the support set and the frozen tensors as values of the outer graph.

    Args:
        lowered: the lowered inner loop.
        inner_lr: what the input `lr_scale` multiplies: the rate, or 1 where the lowered hold rates.
    """
    inputs = {value.name: value for value in lowered.finish.graph.inputs}
    x, y = (like(inputs[n], n) for n in (bundle.SUPPORT_X, bundle.SUPPORT_Y))
    steps = typed(bundle.STEPS, ir.DataType.INT64, [])
    lr_scale = typed(bundle.LR_SCALE, ir.DataType.FLOAT, [])
    graph, init = _graph("adapt", [x, y, steps, lr_scale], lowered)
    init |= _grown(graph, lowered, init, y)

    rate = constant(graph, "inner_lr", np.float32(inner_lr))
    lr = append(graph, "Mul", [lr_scale, rate], LR)
    given = init | {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y, LR: lr}
    given |= {name: constant(graph, name, rates.numpy()) for name, rates in lowered.rates.items()}
    start = {name: init[name] for name in lowered.init.params}
    moments = {
        name: zeros_like(graph, name, start[name.partition("/")[2]])
        if name in lowered.per_class
        else _zeros(graph, name, tuple(moment.shape))
        for name, moment in lowered.init.moments.items()
    }
    slices = None
    if isinstance(lowered.step, SlicedStep):
        slices = append_slices(graph, x, lowered.step.size, start)
        if lowered.step.share is not None:
            given |= splice(graph, graph, lowered.step.share.graph, given, "share")
    after, losses_before = _inner_loop(graph, lowered, given, start | moments, steps, slices)
    adapted = {bundle.next_name(name): after[name] for name in start}

    given |= {n: after[n] for n in start}
    if slices is None:
        last = splice(graph, graph, lowered.finish.graph, given, "last")
    else:
        last = over_slices(graph, graph, lowered.finish.graph, given, slices, [LOSS], "last")
    axis = constant(graph, "first_axis", np.array([0]))
    last_loss = append(graph, "Unsqueeze", [last[LOSS], axis], "last_loss")
    losses = append(graph, "Concat", [losses_before, last_loss], bundle.LOSSES, {"axis": 0})
    losses.type, losses.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["losses"])

    kept = _statistics(graph, steps, {name: init[name] for name in lowered.init.buffers}, last)
    graph.outputs.extend([*adapted.values(), *kept, losses])
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="edgemeta")


def predict_model(lowered: LoweredLoop) -> ir.Model:
    """Build `predict.onnx`: the forward pass under a given state, or under the init."""
    inputs = {value.name: value for value in lowered.predict.graph.inputs}
    x = like(inputs[bundle.QUERY_X], bundle.QUERY_X)
    graph, init = _graph("predict", [x], lowered)
    found = splice(graph, graph, lowered.predict.graph, init | {bundle.QUERY_X: x}, "predict")
    (output,) = found.values()
    (output.name,) = found
    graph.outputs.append(output)
    return ir.Model(graph, ir_version=IR_VERSION, producer_name="edgemeta")


def _graph(name: str, inputs: Sequence[ir.Value], lowered: LoweredLoop) -> tuple[ir.Graph, Values]:
    """Start a graph: state and ways as inputs with a default, the frozen tensors inside.

    Returns:
        The graph, and the values of the state, of the frozen tensors and of the ways by name.
    """
    state = {n: initializer(n, t) for n, t in (lowered.init.params | lowered.init.buffers).items()}
    if lowered.ways is not None:
        state[bundle.WAYS] = initializer(bundle.WAYS, np.array(lowered.ways))
    for n in state.keys() & set(lowered.per_class):
        state[n].shape = ir.Shape([GIVEN_WAYS, *lowered.init.params[n].shape[1:]])
    frozen = {name: initializer(name, t) for name, t in lowered.init.frozen.items()}
    graph = ir.Graph([*inputs, *state.values()], [], nodes=[], opset_imports={"": OPSET}, name=name)
    for value in (*state.values(), *frozen.values()):
        graph.register_initializer(value)
    return graph, state | frozen


def _grown(graph: ir.Graph, lowered: LoweredLoop, state: Values, y: ir.Value) -> Values:
    """Append what gives a shared head a row for each class; see `InnerLoop.grow`.

    There are as many rows as the state has, as the labels need, or as the optional input `ways`
    says, whichever is most.

    Returns:
        The rows (ways, ...) by torch name; nothing without a shared head.
    """
    names = [name for name in lowered.per_class if name in lowered.init.params]
    if not names:
        return {}
    asked = initializer(bundle.WAYS, np.array(1))
    graph.register_initializer(asked)
    graph.inputs.append(asked)
    one = constant(graph, "classes/one", np.array(1))
    last = append(graph, "ReduceMax", [y], "classes/last_label", {"keepdims": 0})
    needed = append(graph, "Add", [last, one], "classes/needed")
    first_axis = {"start": 0, "end": 1}
    given = append(graph, "Shape", [state[names[0]]], "classes/given", first_axis)
    ways = append(graph, "Max", [given, needed, asked], "classes/all")
    fresh = append(graph, "Sub", [ways, given], "classes/fresh")
    grown = {}
    for name in names:
        row = lowered.init.params[name]  # (1, ...)
        # The state's own input, whose default this is, may be something else by now.
        shared = constant(graph, f"classes/{name}/shared", row.numpy())
        inner = constant(graph, f"classes/{name}/inner", np.array(row.shape[1:], np.int64))
        size = append(graph, "Concat", [fresh, inner], f"classes/{name}/shape", {"axis": 0})
        rows = append(graph, "Expand", [shared, size], f"classes/{name}/fresh")
        grown[name] = append(graph, "Concat", [state[name], rows], f"classes/{name}", {"axis": 0})
        grown[name].type = state[name].type
        grown[name].shape = ir.Shape([WAYS_DIM, *row.shape[1:]])
    return grown


def _inner_loop(
    graph: ir.Graph,
    lowered: LoweredLoop,
    given: Values,
    start: Values,
    steps: ir.Value,
    slices: Slices | None,
) -> tuple[Values, ir.Value]:
    """Append the Loop.

    Returns:
        The parameters and moments after the last step, by torch name; the loss before each step.
    """
    inner = {name: like(value, f"step/{name}") for name, value in start.items()}
    body, iteration = start_body("inner_step", "loop", list(inner.values()))
    given = given | inner | {INDEX: iteration}
    step = lowered.step
    if isinstance(step, SlicedStep):
        assert slices is not None  # noqa: S101  # a sliced step comes with them
        sums = over_slices(body, graph, step.gradient.graph, given, slices, slices.zeros, "step")
        found = sums | splice(body, graph, step.move.graph, given | sums, "step")
    else:
        found = splice(body, graph, step.graph, given, "step")
    body.outputs.extend([*(found[bundle.next_name(n)] for n in start), found[LOSS]])
    after = {name: like(value, bundle.next_name(name)) for name, value in start.items()}
    losses = typed("losses_before", ir.DataType.FLOAT, ["steps"])
    append_loop(graph, INNER_LOOP, steps, start.values(), body, [*after.values(), losses])
    return after, losses


def _statistics(graph: ir.Graph, steps: ir.Value, before: Values, last: Values) -> list[ir.Value]:
    """Take the support set's statistics, but keep those of the given state after zero steps."""
    if not before:
        return []
    moved = append(graph, "Greater", [steps, constant(graph, "no_steps", np.array(0))], "moved")
    kept = []
    for name, value in before.items():
        after = append(
            graph, "Where", [moved, last[bundle.next_name(name)], value], bundle.next_name(name)
        )
        after.type, after.shape = value.type, value.shape
        kept.append(after)
    return kept


def _zeros(graph: ir.Graph, name: str, shape: tuple[int, ...]) -> ir.Value:
    """Append zeros that take no room in the file."""
    size = constant(graph, f"{name}/shape", np.array(shape, np.int64))
    zeros = append(graph, "ConstantOfShape", [size], f"{name}/zeros")
    zeros.type, zeros.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
    return zeros
