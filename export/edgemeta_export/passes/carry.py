"""Carry the parameters from step to step in the layout that the steps want."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgemeta_export.graph_building import constant
from edgemeta_export.passes.rearranging import is_rearranging, numbered, played, static_shape


class CarryPass(ir.passes.InPlacePass):
    """Move the conversion of what a Loop carries in front of it, and the way back behind it.

    Before: a step turns the filters into matrices, and the new matrices into filters. After: the
    Loop carries matrices.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert once, outside, for each Loop of the main graph."""
        changed = 0
        for loop in [node for node in model.graph if node.op_type == "Loop"]:
            body = loop.attributes["body"].as_graph()
            for index in range(len(loop.inputs) - 2):
                changed += _carry(model.graph, loop, body, index)
        return ir.passes.PassResult(model, modified=changed > 0)


def _carry(graph: ir.Graph, loop: ir.Node, body: ir.Graph, index: int) -> bool:
    given, made = body.inputs[index + 2], body.outputs[index + 1]
    way_out = _way_out(made)
    _read_as_row(graph, body, given, way_out)
    start, after = loop.inputs[index + 2], loop.outputs[index]
    ways = _inverse_ways(given, way_out)
    if ways is None or start is None:
        return False
    way_in, way_out, shape = ways

    laid_out, source = way_in[-1].outputs[0], way_out[0].inputs[0]
    assert source is not None  # noqa: S101  # a node of ours has its input
    carried = _new_value(f"{given.name}/carried", given, shape)
    laid_out.replace_all_uses_with(carried)
    body.inputs[index + 2] = carried
    body.outputs[index + 1] = source

    converted = _copies(way_in, start, "carry_in", graph, before=loop)
    loop.replace_input_with(index + 2, converted)
    behind = _new_value(f"{after.name}/carried", after, shape)
    plain = _copies(way_out, behind, "carry_out", graph, after=loop)
    after.replace_all_uses_with(plain, replace_graph_outputs=True)
    plain.name, old_name = after.name, f"{after.name}/unused"
    after.name = old_name
    # The Loop's own output changes its shape: the value stays, its old readers are gone.
    behind.replace_all_uses_with(after)
    after.shape = ir.Shape(shape)
    after.name = f"{plain.name}/carried"
    body.remove(way_in, safe=True)
    body.remove(way_out, safe=True)
    return True


def _read_as_row(graph: ir.Graph, body: ir.Graph, given: ir.Value, way_out: list[ir.Node]) -> None:
    """Turn a bias that products add into a row (1, N), if a row is what the step makes of it."""
    shape = static_shape(given)
    if shape is None or len(shape) != 1 or len(way_out) != 1 or not given.uses():
        return
    if static_shape(way_out[0].inputs[0]) != (1, *shape):
        return
    if any(use.node.op_type != "Gemm" or use.idx != 2 for use in given.uses()):
        return
    sizes = constant(graph, f"{given.name}/row_shape", np.array([1, *shape]))
    reshape = ir.node("Reshape", [given, sizes], name=f"{given.name}/row")
    row = reshape.outputs[0]
    row.name, row.type, row.shape = f"{given.name}/row", given.type, ir.Shape([1, *shape])
    body.insert_before(body[0], reshape)
    given.replace_all_uses_with(row)
    reshape.replace_input_with(0, given)


def _inverse_ways(
    given: ir.Value, way_out: list[ir.Node]
) -> tuple[list[ir.Node], list[ir.Node], tuple[int, ...]] | None:
    """Return the longest ways in and out that undo each other, and the shape between them.

    A way in may branch: the steps read a filter as a matrix, and as the matrix that leads back.
    Then only the part before the branch can move.
    """
    shape = static_shape(given)
    before = numbered(shape) if shape is not None else None
    if before is None:
        return None
    way_in = _way_in(given)
    for length in range(len(way_in), 0, -1):
        inner = played(way_in[:length], before)
        for first in range(len(way_out)):
            way_back = way_out[first:]
            if static_shape(way_back[0].inputs[0]) != inner.shape:
                continue
            back = played(way_back, inner)
            if back.shape == before.shape and np.array_equal(back, before):
                return way_in[:length], way_back, inner.shape
    return None


def _way_in(value: ir.Value) -> list[ir.Node]:
    """Return the rearranging nodes that a value goes through before anything else reads it."""
    way: list[ir.Node] = []
    while len(value.uses()) == 1 and not value.is_graph_output():
        (node,) = value.consumers()
        if not is_rearranging(node) or node.inputs[0] is not value:
            break
        way.append(node)
        value = node.outputs[0]
    return way


def _way_out(value: ir.Value) -> list[ir.Node]:
    """Return the rearranging nodes that a body's output comes through, and nothing else reads."""
    way: list[ir.Node] = []
    while is_rearranging(node := value.producer()):
        assert node is not None  # noqa: S101  # is_rearranging says so
        if len(value.uses()) != (1 if way else 0):
            break
        way.insert(0, node)
        source = node.inputs[0]
        assert source is not None  # noqa: S101
        value = source
    return way


def _copies(
    nodes: list[ir.Node],
    value: ir.Value,
    prefix: str,
    graph: ir.Graph,
    before: ir.Node | None = None,
    after: ir.Node | None = None,
) -> ir.Value:
    """Put copies of a chain of nodes into the main graph, and return what they make."""
    copies = []
    for node in nodes:
        copy = ir.node(
            node.op_type,
            [value, *node.inputs[1:]],
            dict(node.attributes),
            name=f"{prefix}/{node.name}",
        )
        value = copy.outputs[0]
        old = node.outputs[0]
        value.name, value.type, value.shape = f"{prefix}/{old.name}", old.type, old.shape
        copies.append(copy)
    if before is not None:
        graph.insert_before(before, copies)
    if after is not None:
        graph.insert_after(after, copies)
    return value


def _new_value(name: str, like: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=name, type=like.type, shape=ir.Shape(shape))
