"""Adding nodes to a traced graph."""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from edgemeta.meta.torch_private import tree_map_only


def call(graph: Graph, target: Any, *args: Any) -> Node:
    """Insert a call where the graph inserts; the node knows its value, as a traced one does."""
    node = graph.call_function(target, args)
    node.meta["val"] = target(*tree_map_only(Node, lambda argument: argument.meta["val"], args))
    return node
