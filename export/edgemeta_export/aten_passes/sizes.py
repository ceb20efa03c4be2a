"""Ask the support set for its size, not each tensor that is made of it."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import SymInt
from torch.fx import Graph, GraphModule, Node

from edgemeta_export.aten_passes.building import call

SIZE = torch.ops.aten.sym_size.int


def sizes(module: GraphModule) -> None:
    """Compute every size from those of the inputs, in place.

    A step asks its tensors for their sizes: for the divisor of a mean, a row of ones, the shape of
    zeros. The sizes of the inputs do not change between steps, so that all of this leaves the Loop.

    Before: `size(convolution, 0)`. After: `size(support_x, 0) * 784`, once for each number. Left
    alone is what is no multiple of an input's size.
    """
    graph = module.graph
    asked = graph.find_nodes(op="call_function", target=SIZE)
    with graph.inserting_before(_first_call(graph)):
        given = _input_sizes(graph)
        made: dict[Any, Node] = {}
        for node in asked:
            size = node.meta["val"]
            if not isinstance(size, SymInt):
                continue
            expression = size.node.expr
            if expression not in made:
                factor, symbol = expression.as_coeff_Mul()
                if symbol not in given or not factor.is_Integer:
                    continue
                made[expression] = given[symbol]
                if factor != 1:
                    made[expression] = call(graph, operator.mul, given[symbol], int(factor))
            node.replace_all_uses_with(made[expression])
    graph.eliminate_dead_code()
    module.recompile()


def _first_call(graph: Graph) -> Node:
    calls: Iterator[Node] = (node for node in graph.nodes if node.op != "placeholder")
    return next(calls)


def _input_sizes(graph: Graph) -> dict[Any, Node]:
    """Append a node for each free size of an input; return them by symbol."""
    found: dict[Any, Node] = {}
    for tensor in graph.find_nodes(op="placeholder"):
        for axis, size in enumerate(tensor.meta["val"].shape):
            if isinstance(size, SymInt) and size.node.expr not in found:
                found[size.node.expr] = call(graph, SIZE, tensor, axis)
    return found
