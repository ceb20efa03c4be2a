"""Sum over everything but the channels by a product with ones."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgemeta_export.aten_passes.building import call

aten = torch.ops.aten


def bias_sums(module: GraphModule) -> None:
    """Write the sum (*, C) -> (C,), the gradient of a linear layer's bias, as a product, in place.

    The product takes less than half of the time of a reduction, and adds the bias as well (see
    `edgemeta_export.passes.fuse_update`). Images are left to the layout.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten.sum.dim_IntList):
        source, dims = node.args[:2]
        shape = source.meta["val"].shape
        others = set(range(len(shape) - 1))
        if node.kwargs or not others or {d % len(shape) for d in dims} != others:
            continue
        with graph.inserting_before(node):
            _write(node, source)
    graph.eliminate_dead_code()
    module.recompile()


def _write(node: Node, source: Node) -> None:
    graph, value = node.graph, source.meta["val"]
    size = value.shape[-1]
    rows = source
    if value.ndim != 2:
        rows = call(graph, aten.reshape.default, source, [-1, size])
    count = call(graph, aten.sym_size.int, rows, 0)
    ones = call(graph, aten.new_ones.default, source, [1, count])
    total = call(graph, aten.mm.default, ones, rows)
    # With or without the axes that are summed; the classes of a shared head are no plain number.
    final = [*node.meta["val"].shape[:-1], -1]
    made = total if len(final) == 2 else call(graph, aten.reshape.default, total, final)
    made.meta = node.meta | {"val": made.meta["val"]}
    node.replace_all_uses_with(made)
