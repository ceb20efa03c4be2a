"""Clean-ups of a finished graph, one per file; the general ones come from onnx_ir.

`optimize` runs them in this order:

| pass | what it does |
|---|---|
| `deduplicate` | constants that the pieces share become one (onnx_ir) |
| `eliminate` | common subexpressions, identities and dead code go (onnx_ir) |
| `hoist` | what does not change between inner steps moves in front of the Loop |
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    IdentityEliminationPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)

from edgemeta_export.passes.cancel import CancelPass
from edgemeta_export.passes.carry import CarryPass
from edgemeta_export.passes.fuse_update import FuseUpdatePass
from edgemeta_export.passes.hoist import HoistPass
from edgemeta_export.passes.one_size import OneSizePass
from edgemeta_export.quiet import quiet


def optimize(model: ir.Model) -> ir.Model:
    """Run all passes; the model computes the same as before."""
    passes = Sequential(
        DeduplicateInitializersPass(size_limit=1 << 20),
        IdentityEliminationPass(),
        OneSizePass(),
        CommonSubexpressionEliminationPass(),
        CancelPass(),
        FuseUpdatePass(),
        RemoveUnusedNodesPass(),
        CarryPass(),
        CancelPass(),
        HoistPass(),
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        TopologicalSortPass(),
    )
    with quiet():
        return passes(model).model
