"""Write the usual number of inner steps one after the other, in place of the Loop."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgemeta_export.graph_building import append, constant, like, own, splice


class UnrollPass(ir.passes.InPlacePass):
    """Loop unrolling for one number of turns; any other number still takes the Loop.

    Without the Loop the runtime sees constants that only the first step has, and plans the memory
    of all steps at once. The graph grows by the body for each turn.

    Before: any model. After: a Loop of the main graph stands in an If, whose other branch, for
    exactly `turns`, has the body so many times. The model computes the same.

    Args:
        name: of the Loop's node; it must take all of its turns, whatever happens in them.
        turns: how many; at least one.
    """

    def __init__(self, name: str, turns: int) -> None:
        super().__init__()
        self.name = name
        self.turns = turns

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Unroll the Loop, if it is there and has no condition."""
        named = [n for n in model.graph if n.op_type == "Loop" and n.name == self.name]
        loops = [loop for loop in named if loop.inputs[1] is None]
        for loop in loops:
            _unroll(model.graph, loop, self.turns)
        return ir.passes.PassResult(model, modified=bool(loops))


def _unroll(graph: ir.Graph, loop: ir.Node, turns: int) -> None:
    usual = constant(graph, f"{loop.name}/turns", turns)
    is_usual = ir.node("Equal", [loop.inputs[0], usual], name=f"{loop.name}/is_usual")
    is_usual.outputs[0].name = f"{loop.name}/is_usual"
    graph.insert_before(loop, is_usual)
    written_out = _written_out(loop, turns)
    outputs = [like(value, value.name) for value in loop.outputs]
    for old, new in zip(loop.outputs, outputs, strict=True):
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        old.name = f"looped/{old.name}"
    graph.remove(loop)
    looped = ir.Graph([], loop.outputs, nodes=[loop], opset_imports=_opsets(loop), name="looped")
    branches = {"then_branch": written_out, "else_branch": looped}
    choice = ir.node("If", is_usual.outputs, branches, outputs=outputs, name=f"{loop.name}/choice")
    graph.insert_after(is_usual, choice)


def _written_out(loop: ir.Node, turns: int) -> ir.Graph:
    """Return a branch that has the Loop's body so many times."""
    branch = ir.Graph([], [], nodes=[], opset_imports=_opsets(loop), name="unrolled")
    first_axis = constant(branch, f"{loop.name}/first_axis", [0])
    carried: list[ir.Value | None] = list(loop.inputs[2:])
    rows: list[list[ir.Value]] = [[] for _ in loop.outputs[len(carried) :]]
    for turn in range(turns):
        found = _one_turn(branch, loop, turn, carried)
        carried = [*found[: len(carried)]]
        for made, value in zip(rows, found[len(carried) :], strict=True):
            made.append(append(branch, "Unsqueeze", [value, first_axis], f"{value.name}/row"))
    kept, scanned = loop.outputs[: len(carried)], loop.outputs[len(carried) :]
    results = [
        own(branch, value, f"unrolled/{end.name}")  # type: ignore[arg-type]
        for value, end in zip(carried, kept, strict=True)
    ]
    results += [
        append(branch, "Concat", made, f"unrolled/{value.name}", {"axis": 0})
        for made, value in zip(rows, scanned, strict=True)
    ]
    for result, value in zip(results, loop.outputs, strict=True):
        result.type, result.shape = value.type, value.shape
    branch.outputs.extend(results)
    return branch


def _one_turn(
    branch: ir.Graph, loop: ir.Node, turn: int, carried: Sequence[ir.Value | None]
) -> list[ir.Value]:
    """Append a copy of the body; return what it makes, without the condition."""
    body = loop.attributes["body"].as_graph().clone(allow_outer_scope_values=True)
    index = constant(branch, f"turn{turn}/index", turn)
    goes_on = constant(branch, f"turn{turn}/goes_on", True)
    values = zip(body.inputs, [index, goes_on, *carried], strict=True)
    given = {str(inner.name): value for inner, value in values if value is not None}
    _, *found = splice(branch, branch, body, given, f"turn{turn}").values()
    return found


def _opsets(loop: ir.Node) -> dict[str, int]:
    return dict(loop.attributes["body"].as_graph().opset_imports)
