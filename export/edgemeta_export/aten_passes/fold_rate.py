"""Take the learning rate out of the update, and put it into the seed of the gradient."""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten


def fold_rate(module: GraphModule) -> None:
    """Compute p + d(-lr loss)/dp instead of p - lr d(loss)/dp, in place.

    A gradient is linear in the number that the backward pass starts from. With -lr there instead
    of 1, one product with a number replaces one for each parameter, and a bare sum remains of the
    update, which the product that makes the gradient can do on the way.

    Before: a step of plain gradient descent with one rate, as `edgemeta.meta.inner.loop` writes it;
    any other is left alone. It is for the caller to know that the update is linear in the gradient.
    """
    graph = module.graph
    seeds = [n for n in graph.nodes if n.target is aten.ones_like.default and _is_number(n)]
    updates = [n for n in graph.nodes if n.target is aten.sub.Tensor and _rate(n) is not None]
    rates = {_rate(n) for n in updates}
    outputs = set(graph.output_node().all_input_nodes)
    if len(seeds) != 1 or len(rates) != 1 or not outputs.issuperset(updates):
        return
    (seed,), (rate,) = seeds, rates
    # Whatever else came from the seed would be scaled as well.
    if not _readers(seed) & outputs <= set(updates):
        return
    assert rate is not None  # noqa: S101  # None was left out above
    with graph.inserting_before(seed):
        start = graph.call_function(aten.neg.default, (rate,))
        start.meta["val"] = seed.meta["val"]
    seed.replace_all_uses_with(start)
    for update in updates:
        param, scaled = update.args
        assert isinstance(scaled, Node)  # noqa: S101  # see _rate
        with graph.inserting_before(update):
            moved = graph.call_function(aten.add.Tensor, (param, scaled.args[1]))
            moved.meta = dict(update.meta)
        update.replace_all_uses_with(moved)
    graph.eliminate_dead_code()
    module.recompile()


def _rate(update: Node) -> Node | None:
    """Return lr of sub(p, mul(lr, g)); None if it is something else."""
    scaled = update.args[1]
    if (
        not isinstance(scaled, Node)
        or scaled.target is not aten.mul.Tensor
        or len(scaled.users) > 1
    ):
        return None
    rate = scaled.args[0]
    is_input = isinstance(rate, Node) and rate.op == "placeholder" and _is_number(rate)
    return rate if is_input else None  # type: ignore[return-value]


def _is_number(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.ndim == 0


def _readers(node: Node) -> set[Node]:
    """Return all that depends on a node."""
    found = {node}
    for later in node.graph.nodes:
        if not found.isdisjoint(later.all_input_nodes):
            found.add(later)
    return found
