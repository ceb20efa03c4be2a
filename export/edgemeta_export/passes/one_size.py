"""Read the number of samples from one input, whichever of them the tracer took it from."""

from __future__ import annotations

import onnx_ir as ir


class OneSizePass(ir.passes.InPlacePass):
    """Take the length of the first input wherever that of another with the same axis 0 is taken.

    The step counted labels, the last look at the support counts samples: to the pass that finds
    common subexpressions these are two numbers, and all that is made of them is made twice.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewire the Shape nodes of every graph of the model."""
        first: dict[str, ir.Value] = {}
        for value in model.graph.inputs:
            if (size := _samples(value)) is not None:
                first.setdefault(size, value)
        changed = 0
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            source = node.inputs[0] if node.op_type == "Shape" else None
            size = _samples(source) if _of_axis_0(node) and source is not None else None
            if source is not None and size is not None and first.get(size, source) is not source:
                node.replace_input_with(0, first[size])
                changed += 1
        return ir.passes.PassResult(model, modified=changed > 0)


def _samples(value: ir.Value) -> str | None:
    """Return the name of a free axis 0 of an input of the main graph."""
    if not value.is_graph_input() or not value.shape or isinstance(value.shape[0], int):
        return None
    return value.shape[0].value


def _of_axis_0(node: ir.Node) -> bool:
    start, end = node.attributes.get("start"), node.attributes.get("end")
    return end is not None and end.as_int() == 1 and (start is None or start.as_int() == 0)
