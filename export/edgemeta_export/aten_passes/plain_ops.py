"""Write `relu_` as `relu` where nothing else sees the tensor that it writes into."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from edgemeta.meta.torch_private import OpOverload, schema_of
from edgemeta_export.decompose import can_be_lowered, changes_its_input


def plain_ops(module: GraphModule) -> None:
    """Replace in-place ops by those that return something new, in place.

    PyTorch's `functionalize` does so for whatever there is, views included, but it traces the whole
    graph again, and some in-place ops by decompositions that take half a second each. What
    networks write is nearly always an activation of something that only it reads.

    Before: any traced graph. After: what is still in place writes into an input, into something
    that a view shows as well, or has no plain op that can be lowered.
    """
    graph = module.graph
    order = {node: place for place, node in enumerate(graph.nodes)}
    storage = _storages(module)
    shown: dict[Node, list[Node]] = {}
    for node, owner in storage.items():
        shown.setdefault(owner, []).append(node)
    for node in list(graph.nodes):
        if node.op != "call_function" or not changes_its_input(node.target):
            continue
        written = node.args[0]
        plain = _plain(node)
        if plain is None or storage[written].op != "call_function":
            continue
        before = [n for n in shown[storage[written]] if order[n] < order[node] and n is not written]
        if any(order[user] > order[node] for other in before for user in other.users):
            continue
        with graph.inserting_before(node):
            made = graph.call_function(plain, node.args, dict(node.kwargs))
        made.meta = dict(node.meta)
        order[made] = order[node]
        node.replace_all_uses_with(made)
        for user in [user for user in written.users if order[user] > order[node]]:
            user.replace_input_with(written, made)
        graph.erase_node(node)
        # What shows it from now on shows the new tensor.
        family = [n for n in shown[storage[written]] if n is not node and order[n] > order[node]]
        storage |= dict.fromkeys([made, *family], made)
        shown[made] = [made, *family]
    module.recompile()


def _storages(module: GraphModule) -> dict[Node, Node]:
    """Return for each node the one that made the memory that it shows."""
    found: dict[Node, Node] = {}
    for node in module.graph.nodes:
        source = _shown_by(node)
        found[node] = node if source is None else found[source]
    return found


def _shown_by(node: Node) -> Node | None:
    """Return the argument that a node is a view of, or writes into; None if it makes its own."""
    if node.target is operator.getitem:
        return node.all_input_nodes[0]
    if not isinstance(node.target, OpOverload):
        return None
    if node.target is torch.ops.aten._unsafe_view.default:  # a view that says that it is none
        return node.all_input_nodes[0]
    for argument, value in zip(schema_of(node.target).arguments, node.args, strict=False):
        if argument.alias_info is not None and isinstance(value, Node):
            return value
    return None


def _plain(node: Node) -> Any:
    """Return the op that returns what an in-place op would write; None if there is none."""
    target = node.target
    assert isinstance(target, OpOverload)  # noqa: S101  # or it would change nothing
    writing = [a for a in schema_of(target).arguments if a.alias_info is not None]
    name = schema_of(target).name.rpartition("::")[2]
    written = node.args[0] if node.args else None
    if len(writing) != 1 or not isinstance(written, Node) or not name.endswith("_"):
        return None
    packet = getattr(torch.ops.aten, name[:-1], None)
    plain = getattr(packet, schema_of(target).overload_name or "default", None)
    if plain is None or not can_be_lowered(plain):
        return None
    # In place, a tensor keeps its type whatever is added to it.
    own = written.meta["val"].dtype
    values = [n.meta.get("val") for n in node.all_input_nodes]
    if any(isinstance(value, Tensor) and value.dtype != own for value in values):
        return None
    return plain
