"""Drop rearrangements that undo each other: Transpose of Transpose, and longer chains."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgemeta_export.passes.rearranging import is_rearranging, numbered, played, static_shape


class CancelPass(ir.passes.InPlacePass):
    """Read a value itself where a chain of Transpose and Reshape gives it back.

    The filters leave the Loop as PyTorch has them and enter the last look at the support as
    matrices: between the two nothing is left to do.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewire every graph of the model; dead nodes stay for the pass that removes them."""
        changed = 0
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            if is_rearranging(node) and (source := _same_as(node)) is not None:
                output = node.outputs[0]
                if not output.is_graph_output():
                    output.replace_all_uses_with(source)
                    changed += 1
        return ir.passes.PassResult(model, modified=changed > 0)


def _same_as(node: ir.Node) -> ir.Value | None:
    """Return the earliest value that the output of a rearranging node equals."""
    chain: list[ir.Node] = []
    found = None
    walk: ir.Node | None = node
    while walk is not None and is_rearranging(walk):
        chain.insert(0, walk)
        source = walk.inputs[0]
        if len(chain) > 1 and source is not None and _is_identity(chain, source):
            found = source
        walk = source.producer() if source is not None else None
    return found


def _is_identity(chain: list[ir.Node], source: ir.Value) -> bool:
    shape = static_shape(source)
    if shape is None:
        if any(n.op_type != "Transpose" for n in chain) or source.shape is None:
            return False
        shape = tuple(range(2, 2 + len(source.shape)))  # any sizes that tell the axes apart
    before = numbered(shape)
    if before is None:
        return False
    after = played(chain, before)
    return after.shape == before.shape and bool(np.array_equal(after, before))
