"""Take attention that nothing masks for what it is: a softmax."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten

PRODUCTS = {aten.mm.default, aten.bmm.default}  # what baddbmm adds may be a mask
PASSED_ON = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.transpose.int,
    aten.permute.default,
    aten.expand.default,
    aten.clone.default,
    aten.detach.default,
    aten.mul.Tensor,
    aten.mul.Scalar,
    aten.div.Tensor,
    aten.div.Scalar,
}


def plain_softmax(module: GraphModule) -> None:
    """Write `_safe_softmax` of a product as `_softmax`, in place.

    The safe one makes zeros of rows that are all minus infinity, as a mask makes them. A product of
    finite numbers is never minus infinity.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten._safe_softmax.default):
        scores, dim, *dtype = node.args
        if any(dtype) or not _is_product(scores):
            continue
        with graph.inserting_before(node):
            plain = graph.call_function(aten._softmax.default, (scores, dim, False))
        plain.meta = dict(node.meta)
        node.replace_all_uses_with(plain)
        graph.erase_node(node)
    module.recompile()


def _is_product(value: Any) -> bool:
    """Whether a value is a matrix product, reshaped and scaled by plain numbers at most."""
    while isinstance(value, Node) and value.target in PASSED_ON:
        if any(isinstance(other, Node) for other in value.args[1:]):  # no plain number
            return False
        value = value.args[0]
    return isinstance(value, Node) and value.target in PRODUCTS
