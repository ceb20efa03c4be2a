"""Move what does not change between inner steps in front of the Loop.

The pixels of the support set are scaled, unfolded and one-hot encoded once, not once per step.
"""

from __future__ import annotations

import onnx_ir as ir


class HoistPass(ir.passes.InPlacePass):
    """Loop-invariant code motion.

    Before: any model. After: every node in the body of a Loop depends, directly or not, on the
    body's inputs. Node for node the model computes the same.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Hoist out of each Loop of the main graph, and out of those inside one another."""
        return ir.passes.PassResult(model, modified=_hoist_all(model.graph) > 0)


def _hoist_all(graph: ir.Graph) -> int:
    """Hoist from the innermost Loops outwards; return how often a node was moved."""
    moved = 0
    for loop in [node for node in graph if node.op_type == "Loop"]:
        moved += _hoist_all(loop.attributes["body"].as_graph()) + _hoist(graph, loop)
    return moved


def _hoist(graph: ir.Graph, loop: ir.Node) -> int:
    body = loop.attributes["body"].as_graph()
    changing = set(body.inputs)
    moved = []
    for node in body:
        if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
            invariant = False  # what its subgraph reads from outside is not among its inputs
        else:
            invariant = not any(value in changing for value in node.inputs)
        # A body must make its own outputs.
        if invariant and not any(value.is_graph_output() for value in node.outputs):
            moved.append(node)
        else:
            changing.update(node.outputs)
    body.remove(moved)
    graph.insert_before(loop, moved)
    return len(moved)
