"""PyTorch's promotion of types, on those nodes alone that can need it."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

from edgemeta.meta.torch_private import (
    InsertTypePromotion,
    TypePromotionInterpreter,
    TypePromotionTable,
    get_type_promotion_rule,
)


class _Promotion(TypePromotionInterpreter):
    """Makes casts explicit where an op takes numbers of several types, or integers.

    PyTorch's own pass computes each node anew, its shape and its type: on a large graph that is a
    quarter of the time to translate it. Most ops have no rule by which they promote anything.
    """

    def run_node(self, n: Node) -> Any:
        """Return the value of a node, as it was traced where nothing in it can need a cast."""
        if n.op == "call_function" and "val" in n.meta:
            rule = get_type_promotion_rule(n, self.type_promotion_table)
            if rule is None or _is_all_float(n):
                return n.meta["val"]
        return super().run_node(n)


class _Pass(InsertTypePromotion):
    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.interpreter = _Promotion(module, TypePromotionTable())


def promote_types(module: GraphModule) -> None:
    """Take the place of `insert_type_promotion_nodes` of PyTorch's exporter."""
    _Pass(module).run()


def _is_all_float(node: Node) -> bool:
    values = [node.meta["val"], *(source.meta.get("val") for source in node.all_input_nodes)]
    return all(isinstance(value, torch.Tensor) and value.dtype == torch.float32 for value in values)
