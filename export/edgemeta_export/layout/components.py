"""Which tensors of a graph must agree on the order of their pixels, and on which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Graph, Node

from edgemeta.meta.torch_private import OpOverload
from edgemeta_export.layout.pool_windows import PoolWindows
from edgemeta_export.layout.strip import Frame
from edgemeta_export.layout.values import Grid
from edgemeta_export.rules.windows import widen

aten = torch.ops.aten

# These say nothing of their being pointwise, but are.
ALSO_POINTWISE = {
    aten.detach.default,
    aten._to_copy.default,
    aten.elu_backward.default,
    aten.hardtanh_backward.default,
    aten.leaky_relu_backward.default,
    aten.lift_fresh_copy.default,
}
RESHAPES = {
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
}
RUNNING_NORM = aten._native_batch_norm_legit_no_training.default
NORMS = {aten._native_batch_norm_legit.no_stats, RUNNING_NORM, aten.native_group_norm.default}
NORM_BACKWARD = aten.native_batch_norm_backward.default
NORM_BACKWARDS = {NORM_BACKWARD, aten.native_group_norm_backward.default}
ALIASES = {aten.detach.default}
CONVOLUTION = aten.convolution.default
CONVOLUTION_BACKWARD = aten.convolution_backward.default
MAX_POOL = aten.max_pool2d_with_indices.default
MAX_POOL_BACKWARD = aten.max_pool2d_with_indices_backward.default


def has_images(graph: Graph) -> bool:
    """Whether a graph has ops that gain by a layout."""
    gaining = {CONVOLUTION, MAX_POOL, *NORMS, *NORM_BACKWARDS}
    return any(node.target in gaining for node in graph.nodes)


def is_pointwise(target: Any) -> bool:
    """Whether each number that an op returns depends on one number of each argument."""
    if not isinstance(target, OpOverload):
        return False
    return torch.Tag.pointwise in target.tags or target in ALSO_POINTWISE


def image_shape(node: Any) -> tuple[int, ...] | None:
    """Return the shape (C, *size) of what might be an image (N, C, *size); None if it is not."""
    value = node.meta.get("val") if isinstance(node, Node) else None
    if not isinstance(value, Tensor) or value.ndim < 3:
        return None
    if not all(isinstance(n, int) for n in value.shape[1:]):
        return None
    return tuple(value.shape[1:])


class Components:
    """Sets of image tensors that share a grid, because an op combines them pixel by pixel.

    A value and its gradient share one as well. A grid is chosen once for all of a set: there is no
    conversion between them.
    """

    def __init__(self, graph: Graph) -> None:
        self._parent: dict[Node, Node] = {}
        self._grids: dict[Node, Grid] = {}
        for node in graph.nodes:
            self._join_around(node)
        self._members: dict[Node, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            self._members[self._root(node)].append(node)
        self._frames = self._find_frames(graph)

    def grid(self, node: Any) -> Grid:
        """Return the grid of the image that `node` makes."""
        assert isinstance(node, Node)  # noqa: S101  # the callers ask for images only
        root = self._root(node)
        if root not in self._grids:
            self._grids[root] = self._choose(node, self._members[root])
        return self._grids[root]

    def frame(self, node: Any) -> Frame | None:
        """Return how the samples lie in the image that `node` makes; None if it is not a strip."""
        return self._frames.get(self._root(node)) if isinstance(node, Node) else None

    def _find_frames(self, graph: Graph) -> dict[Node, Frame]:
        """Choose strips for what goes in and out of depthwise convolutions, and 1x1 ones beside."""
        gaps: dict[Node, int] = {}
        sizes: dict[Node, tuple[int, ...]] = {}
        edges = []
        for node in graph.find_nodes(op="call_function", target=CONVOLUTION):
            gap = depthwise_gap(node)
            if gap is not None or is_mixing(node):
                ends = (self._root(node), self._root(node.args[0]))
                edges.append(ends)
                sizes |= dict.fromkeys(ends, (image_shape(node) or ())[1:])
            if gap is not None:
                gaps |= {end: max(gap, gaps.get(end, 0)) for end in ends}
        for _ in edges:  # as often as the widest gap may have to travel
            for ends in edges:
                if found := [gaps[end] for end in ends if end in gaps]:
                    gaps |= dict.fromkeys(ends, max(found))
        return {
            root: Frame(sizes[root], gap)
            for root, gap in gaps.items()
            if self._can_be_strip(self._members[root])
        }

    def _can_be_strip(self, members: list[Node]) -> bool:
        """Whether nothing pools the images: rows are better at that."""
        return not any(user.target is MAX_POOL for m in members for user in m.users)

    def _join_around(self, node: Node) -> None:
        if node.op != "call_function":
            return
        args = node.args
        if node.target in (MAX_POOL_BACKWARD,):
            self._join(node, args[1])
        elif node.target is CONVOLUTION_BACKWARD:
            self._join(output_of(node, 0), args[1])
            self._join(args[0], forward_of(node))
        elif node.target in NORMS:
            self._join(output_of(node, 0), args[0])
        elif node.target in NORM_BACKWARDS:
            self._join(output_of(node, 0), args[1])
            self._join(args[0], args[1])
        elif is_pointwise(node.target):
            for arg in node.all_input_nodes:
                if (image_shape(arg) or ())[1:] == (image_shape(node) or ())[1:]:
                    self._join(node, arg)
        elif node.target in RESHAPES:
            before, after = image_shape(args[0]), image_shape(node)
            if before and after and before[0] == after[0]:  # else channels and pixels mix
                self._join(node, args[0])

    def _choose(self, node: Node, members: list[Node]) -> Grid:
        shape = image_shape(node)
        assert shape is not None  # noqa: S101  # the callers ask for images only
        size = shape[1:]
        for member in members:
            for pool in member.users:
                windows = PoolWindows.of(pool) if pool.target is MAX_POOL else None
                if windows is None or pool.args[0] is not member or windows.size != size:
                    continue
                order = windows.order(self.grid(output_of(pool, 0)))
                if not all(_may_drop(m, pool) for m in members):
                    rest = np.setdiff1d(np.arange(windows.pixels), order)
                    order = np.concatenate([order, rest])
                return Grid(size, tuple(order.tolist()))
        return Grid.natural(size)

    def _root(self, node: Node) -> Node:
        while (parent := self._parent.get(node, node)) is not node:
            node = parent
        return node

    def _join(self, left: Any, right: Any) -> None:
        if isinstance(left, Node) and isinstance(right, Node):
            self._parent[self._root(left)] = self._root(right)


def depthwise_gap(node: Node) -> int | None:
    """Return the zeros that a depthwise convolution needs between samples.

    Returns:
        None if it is none, or one that changes the size of the image.
    """
    shape, before = image_shape(node), image_shape(node.args[0])
    _, weight, _, stride, padding, dilation, transposed, _, groups = node.args
    if shape is None or shape != before or transposed or len(shape) > 3 or groups != shape[0]:
        return None
    kernel = list(weight.meta["val"].shape[2:])  # type: ignore[union-attr]
    padding = widen(padding, len(kernel))  # type: ignore[arg-type]
    if groups == 1 or set(stride) != {1} or set(dilation) != {1}:  # type: ignore[arg-type]
        return None
    if any(k % 2 == 0 or p != k // 2 for k, p in zip(kernel, padding, strict=True)):
        return None
    return Frame(shape[1:], 0).oriented(padding)[1]


def is_mixing(node: Node) -> bool:
    """Whether a convolution is 1x1: it mixes channels, and leaves the pixels where they are."""
    _, weight, _, stride, padding, _, transposed, _, groups = node.args
    kernel = weight.meta["val"].shape[2:]  # type: ignore[union-attr]
    plain = transposed is False and groups == 1 and set(stride) == {1} and not any(padding)  # type: ignore[arg-type]
    return bool(plain) and set(kernel) == {1} and image_shape(node) is not None


def readers_of(node: Node) -> list[Node]:
    """Return what reads a value, also by another name."""
    found = []
    for user in node.users:
        found += readers_of(user) if user.target in ALIASES else [user]
    return list(dict.fromkeys(found))


def output_of(node: Node, index: int) -> Node | None:
    """Return the node that picks one of several outputs; None if nobody does."""
    for user in node.users:
        if user.args[1] == index:
            return user
    return None


def forward_of(backward: Node) -> Node | None:
    """Return the convolution whose gradient `backward` takes."""
    _, x, weight, _, *how = backward.args
    assert isinstance(x, Node)  # noqa: S101  # by the op's signature
    for user in x.users:
        same_inputs = user.target is CONVOLUTION and user.args[:2] == (x, weight)
        if same_inputs and list(user.args[3:]) == how[: len(user.args) - 3]:
            return user
    return None


def _may_drop(member: Node, pool: Node) -> bool:
    """Whether a pixel that `pool` does not read may be missing in `member`.

    It may where the member comes from a convolution (the pixel is not computed), from the pool's
    gradient (it is zero there), or from those pixel by pixel; and goes nowhere else.
    """
    if not (member.target in (CONVOLUTION, MAX_POOL_BACKWARD) or is_pointwise(member.target)):
        return False
    return all(_reads_only_kept(user, member, pool) for user in member.users)


def _reads_only_kept(user: Node, member: Node, pool: Node) -> bool:
    if user.target in (MAX_POOL, MAX_POOL_BACKWARD):
        same_windows = PoolWindows.of(user) == PoolWindows.of(pool)
        return same_windows and member is user.args[0 if user.target is MAX_POOL else 1]
    if user.target is CONVOLUTION_BACKWARD:
        return user.args[0] is member and member not in _nodes(user.args[1:])
    return is_pointwise(user.target) and image_shape(user) is not None


def _nodes(args: Iterable[Any]) -> list[Node]:
    return [a for a in args if isinstance(a, Node)]
