"""Put the gradients of slices side by side, in place of adding each to zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import GraphModule, Node

aten = torch.ops.aten
PAD = aten.constant_pad_nd.default


@dataclass(frozen=True)
class _Window:
    """A tensor with zeros on either side of it, along one axis."""

    axis: int
    start: int
    end: int
    source: Node


def join_pads(module: GraphModule) -> None:
    """Write a sum of padded tensors that fill an axis without overlap as one cat, in place.

    Whatever is split into parts, such as a projection into queries, keys and values or into gates,
    has such a sum for a gradient: n pads and n - 1 sums of the whole, where one copy will do.
    """
    graph = module.graph
    inner = set()
    for node in reversed(list(graph.find_nodes(op="call_function", target=aten.add.Tensor))):
        if node in inner:
            continue
        sums, windows = _windows(node)
        inner |= sums
        size = node.meta["val"].shape
        if len(windows) < 2 or len({w.axis for w in windows}) != 1:
            continue
        windows = sorted(windows, key=lambda window: window.start)
        axis = windows[0].axis
        ends = [0, *(w.end for w in windows)]
        if [w.start for w in windows] != ends[:-1] or ends[-1] != size[axis]:
            continue
        with graph.inserting_before(node):
            joined = graph.call_function(aten.cat.default, ([w.source for w in windows], axis))
        joined.meta = dict(node.meta)
        node.replace_all_uses_with(joined)
    graph.eliminate_dead_code()
    module.recompile()


def _windows(total: Node) -> tuple[set[Node], list[_Window]]:
    """Return the sums below a sum, and what they add; nothing if some of it is no window."""
    sums, windows, open_terms = set(), [], list(total.args[:2])
    if total.kwargs:
        return set(), []
    while open_terms:
        term = open_terms.pop()
        if not isinstance(term, Node) or len(term.users) != 1:
            return set(), []
        if term.target is aten.add.Tensor and not term.kwargs:
            sums.add(term)
            open_terms += term.args[:2]
        elif (window := _window(term)) is not None:
            windows.append(window)
        else:
            return set(), []
    return sums, windows


def _window(node: Node) -> _Window | None:
    if node.target is not PAD:
        return None
    source, pads, *value = node.args
    shape = node.meta["val"].shape
    sides: Any = [(pads[k], pads[k + 1]) for k in range(0, len(pads), 2)]  # type: ignore[index, arg-type]
    padded = [(len(shape) - 1 - k, *side) for k, side in enumerate(sides) if side != (0, 0)]
    if len(padded) != 1 or any(value) or not isinstance(source, Node):
        return None
    axis, before, behind = padded[0]
    size = shape[axis]
    if not all(isinstance(n, int) and n >= 0 for n in (before, behind, size)):
        return None
    return _Window(axis, before, size - behind, source)
