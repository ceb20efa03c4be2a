"""A function of fewer outputs, cut out of a lowered one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass


def part(
    model: ir.Model, outputs: Collection[str], names: Mapping[str, str] | None = None
) -> ir.Model:
    """Return what makes some of a lowered function's outputs; the function itself stays.

    Args:
        model: what `edgemeta_export.lower.lower` returned.
        outputs: names of those to keep.
        names: new names for some inputs, which are kept in any case; of the others, those that
            nothing reads are left out.
    """
    names = names or {}
    made = model.clone()
    graph = made.graph
    kept = [value for value in graph.outputs if value.name in outputs]
    graph.outputs.clear()
    graph.outputs.extend(kept)
    RemoveUnusedNodesPass()(made)
    inputs = [v for v in graph.inputs if v.name in names or v.uses() or v.is_graph_output()]
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    for value in inputs:
        value.name = names.get(str(value.name), value.name)
    return made
