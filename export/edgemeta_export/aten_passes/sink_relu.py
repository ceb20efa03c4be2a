"""Move ReLU behind the max pooling that follows it: a quarter of the pixels, the same function."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from edgemeta_export.layout.components import ALIASES, readers_of

aten = torch.ops.aten


def sink_relu(module: GraphModule) -> None:
    """Write max_pool(relu(x)) as relu(max_pool(x)), and the gradient accordingly, in place.

    The maximum of a window stays its maximum; a window without a positive pixel has no gradient
    either way. Left alone are a ReLU that something else reads and a pool that pads.
    """
    for relu in module.graph.find_nodes(op="call_function", target=aten.relu.default):
        _sink(relu)
    module.graph.eliminate_dead_code()
    module.recompile()


def _sink(relu: Node) -> None:
    graph, source = relu.graph, relu.args[0]
    readers = readers_of(relu)
    pools = [n for n in readers if n.target is aten.max_pool2d_with_indices.default]
    unpools = [n for n in readers if n.target is aten.max_pool2d_with_indices_backward.default]
    gates = [n for n in readers if n.target is aten.threshold_backward.default]
    if len(pools) != 1 or len(readers) != 1 + len(unpools) + len(gates) or len(unpools) > 1:
        return
    if len(unpools) != len(gates) or any(_sources(g.args[0]) != unpools for g in gates):
        return
    if any(len(n.users) != 1 for n in unpools) or any(gate.args[2] != 0 for gate in gates):
        return
    (pool,) = pools
    maxima = [user for user in pool.users if user.args[1] == 0]
    if not maxima:
        return
    pool.replace_input_with(relu, source)  # type: ignore[arg-type]
    made = maxima[0]
    with graph.inserting_after(made):
        active = graph.call_function(aten.relu.default, (made,))
        active.meta = dict(made.meta)
    made.replace_all_uses_with(active, delete_user_cb=lambda user: user is not active)
    for unpool, gate in zip(unpools, gates, strict=True):
        grad, _, *rest = unpool.args
        with graph.inserting_before(unpool):
            gated = graph.call_function(aten.threshold_backward.default, (grad, active, 0))
            gated.meta = dict(active.meta)
        unpool.args = (gated, source, *rest)
        gate.replace_all_uses_with(unpool)


def _sources(value: object) -> list[Node]:
    while isinstance(value, Node) and value.target in ALIASES:
        value = value.args[0]
    return [value] if isinstance(value, Node) else []
