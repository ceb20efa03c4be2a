"""Clean-ups of a graph as PyTorch's exporter writes it; all of them are onnxscript's and onnx_ir's.

The exporter's own `optimize=True` tries every rewriting of onnxscript on every node, most of them
for networks that are read from files: on large graphs that is a third of an export's time. These
are the ones that ever match in what PyTorch's translations and our rules write. Those that take
away `+ 0` and `* 1` are not: they also match numbers near 0 and 1, such as Adam's epsilon.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import Sequential
from onnx_ir.passes import common as passes
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules import common as rules

REWRITINGS = (
    rules.cast_cast_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.materialize_reshape_shape_rule,
    rules.reshape_reshape_rule,
    rules.squeeze_reshape_1d_rule,
    rules.transpose_transpose_rule,
    rules.unsqueeze_unsqueeze_rule,
)

ROUNDS = 2  # folding lets more patterns match, and the other way round


def simplify(model: ir.Model) -> None:
    """Fold constants and remove what does nothing, in place; the model computes the same."""
    passes.InlinePass()(model)
    for _ in range(ROUNDS):
        fold_constants_ir(model, onnx_shape_inference=True)
        rewrite(model, REWRITINGS)
    Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.DeduplicateInitializersPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.OutputFixPass(),
        passes.NameFixPass(),
    )(model)
