"""How an op is written for opsets before the one that changed it: one small function per op."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from edgemeta_export.graph_building import constant


class ObstacleError(Exception):
    """Why a node cannot be had in another opset; `to_opset` gathers all of them."""


Adapter = Callable[[ir.Graph, ir.Node], None]
"""Rewrites a node in place, or replaces it. Takes the main graph, which holds the constants."""


def axes_to_attribute(main: ir.Graph, node: ir.Node) -> None:
    """Reduce*: `axes` was an attribute, and "no axes" always meant all of them."""
    noop = "noop_with_empty_axes" in node.attributes and bool(
        node.attributes.pop("noop_with_empty_axes").as_int()
    )
    axes = [] if _input(node, 1) is None else _constant(node, 1, "axes").tolist()
    if noop and not axes:
        raise ObstacleError("with noop_with_empty_axes")
    node.resize_inputs(1)
    if axes:
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)


def pads_of_all_axes(main: ir.Graph, node: ir.Node) -> None:
    """Pad: there was no `axes`, the pads were those of all axes."""
    if _input(node, 3) is None:
        node.resize_inputs(min(len(node.inputs), 3))
        return
    axes, pads = _constant(node, 3, "axes"), _constant(node, 1, "pads")
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None:
        raise ObstacleError("axes of an unknown rank")
    full = np.zeros((2, len(shape)), np.int64)  # all begins, then all ends
    full[:, axes] = pads.reshape(2, len(axes))
    node.resize_inputs(3)
    node.replace_input_with(1, _initializer(main, node, "pads", full.reshape(-1)))


def sizes_of_parts(main: ir.Graph, node: ir.Node) -> None:
    """Split: there was no `num_outputs`; the sizes of uneven parts have to be given."""
    if "num_outputs" not in node.attributes:
        return
    count = node.attributes.pop("num_outputs").as_int()
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    length = shape[axis] if shape is not None else None
    node.resize_inputs(2)
    if isinstance(length, int):
        size = math.ceil(length / count)
        sizes = [size] * (count - 1) + [length - size * (count - 1)]
        node.replace_input_with(1, _initializer(main, node, "split", np.array(sizes)))
    else:
        node.replace_input_with(1, _sizes_of_equal_parts(main, node, axis, count))


def _sizes_of_equal_parts(main: ir.Graph, node: ir.Node, axis: int, count: int) -> ir.Value:
    """Compute on the device what `num_outputs` stands for: all parts but the last are of one size.

    That size is ceil(length / count), the last part takes the rest.
    """
    graph, first = node.graph, node.outputs[0].name
    assert graph is not None  # noqa: S101  # the node was found in one

    def make(op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        made = ir.node(op_type, inputs, attributes)
        made.name = made.outputs[0].name = f"{first}/{op_type}"
        graph.insert_before(node, made)
        return made.outputs[0]

    parts = _initializer(main, node, "parts", np.array([count]))
    others = _initializer(main, node, "parts_before", np.array([count - 1]))
    end = {} if axis == -1 else {"end": axis + 1}
    length = make("Shape", node.inputs[0], start=axis, **end)
    size = make("Div", make("Add", length, others), parts)
    last = make("Sub", length, make("Mul", size, others))
    return make("Concat", make("Expand", size, others), last, axis=0)


def gelu_formula(main: ir.Graph, node: ir.Node) -> None:
    """Gelu: x/2 * (1 + erf(x / sqrt(2))), or with `approximate="tanh"` the usual tanh formula.

    Reference: Hendrycks & Gimpel, Gaussian Error Linear Units, arXiv:1606.08415.
    """
    formula = _Formula(main, node)
    op, x = formula.op, formula.x
    approximate = node.attributes.get("approximate")
    if approximate is not None and approximate.as_string() == "tanh":
        cubic = op("Mul", op("Mul", op("Mul", x, x), x), 0.044715)
        bend = op("Tanh", op("Mul", op("Add", x, cubic), math.sqrt(2 / math.pi)))
    else:
        bend = op("Erf", op("Mul", x, math.sqrt(0.5)))
    formula.finish(op("Mul", x, op("Mul", op("Add", bend, 1.0), 0.5)))


def mish_formula(main: ir.Graph, node: ir.Node) -> None:
    """Mish: x * tanh(softplus(x)). Reference: Misra, arXiv:1908.08681."""
    formula = _Formula(main, node)
    op, x = formula.op, formula.x
    formula.finish(op("Mul", x, op("Tanh", op("Softplus", x))))


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

ADAPTERS: dict[str, tuple[int, Adapter]] = {
    **{f"Reduce{name}": (18, axes_to_attribute) for name in _REDUCTIONS},
    "Pad": (18, pads_of_all_axes),
    "Split": (18, sizes_of_parts),
    "Gelu": (20, gelu_formula),
    "Mish": (18, mish_formula),
}
"""For each op: the opset that changed it, and what writes it for the opsets before."""


def _input(node: ir.Node, place: int) -> ir.Value | None:
    return node.inputs[place] if place < len(node.inputs) else None


def _constant(node: ir.Node, place: int, name: str) -> Any:
    """Return the array of an input that nobody can override."""
    value = _input(node, place)
    tensor = None
    if value is not None and not value.is_graph_input():
        tensor = ir.convenience.get_const_tensor(value)
    if tensor is None:
        raise ObstacleError(f"{name} that are not constant")
    return tensor.numpy()


def _initializer(main: ir.Graph, node: ir.Node, name: str, value: Any) -> ir.Value:
    """Register a constant under a name of the node's own; equal ones of a node are one."""
    name = f"{node.outputs[0].name}/{name}"
    if name not in main.initializers:
        constant(main, name, value)
    return main.initializers[name]


class _Formula:
    """Simpler ops in the place of a node that has one input and one output.

    Attributes:
        x: the node's input.
    """

    def __init__(self, main: ir.Graph, node: ir.Node) -> None:
        x = node.inputs[0]
        if x is None or x.dtype is None:
            raise ObstacleError("of an unknown type")
        self.x, self._dtype = x, x.dtype.numpy()
        self._main, self._node, self._tape = main, node, ir.tape.Tape()

    def op(self, op_type: str, left: ir.Value, right: ir.Value | float | None = None) -> ir.Value:
        """Append an op of one input or two, the second a value or a number."""
        if isinstance(right, float):
            number = np.array(right, self._dtype)
            right = _initializer(self._main, self._node, f"{right:.6f}", number)
        return self._tape.op(op_type, [left] if right is None else [left, right])

    def finish(self, output: ir.Value) -> None:
        """Replace the node; `output` gets the name of its output."""
        old, graph, nodes = self._node.outputs[0], self._node.graph, self._tape.nodes
        assert graph is not None  # noqa: S101  # the node was found in one
        for count, node in enumerate(nodes):
            node.name = node.outputs[0].name = f"{old.name}/{count}"
        ir.convenience.replace_nodes_and_values(
            graph, self._node, [self._node], nodes, [old], [output]
        )
