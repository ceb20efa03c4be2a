"""Clean-ups of a finished graph, one per file; the general ones come from onnx_ir.

Every one of them may be left out, and the model computes the same (see `PASSES`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import onnx_ir as ir
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    RemoveUnusedNodesPass,
    TopologicalSortPass,
)

from edgemeta_export.passes.cancel import CancelPass
from edgemeta_export.passes.carry import CarryPass
from edgemeta_export.passes.fuse_update import FuseUpdatePass
from edgemeta_export.passes.hoist import HoistPass
from edgemeta_export.quiet import quiet

LARGEST_CONSTANT = 1 << 20
"""Constants of more numbers than this are not compared with each other."""


PASSES: dict[str, Callable[[], ir.passes.PassBase]] = {
    "deduplicate": lambda: DeduplicateInitializersPass(size_limit=LARGEST_CONSTANT),
    "common": CommonSubexpressionEliminationPass,
    "cancel": CancelPass,
    "fuse_update": FuseUpdatePass,
    "unused": RemoveUnusedNodesPass,
    "carry": CarryPass,
    "hoist": HoistPass,
}
"""The passes by name, in the order of their first turn."""

TURNS = (*PASSES, "cancel", "common", "unused")
"""Moving things makes more of them cancel, equal or unused."""


def optimize(model: ir.Model, without: Collection[str] = ()) -> ir.Model:
    """Run the passes; the model computes the same as before.

    Args:
        model: what `edgemeta_export.assemble` made; it is changed in place.
        without: names of passes to leave out.
    """
    turns = [PASSES[name]() for name in TURNS if name not in without]
    with quiet():
        return Sequential(*turns, TopologicalSortPass())(model).model
