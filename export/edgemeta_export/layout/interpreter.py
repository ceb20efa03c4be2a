"""Run a traced graph again with images laid out: each op finds its arguments as it wants them.

What an op here returns is recorded by the tracer that runs all this, so that the outcome is a graph
of plain ATen ops once more. An op that is not here gets plain tensors: conversions stand at the
borders only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from edgemeta.meta.torch_private import tree_map
from edgemeta_export.layout.components import CONVOLUTION_BACKWARD, Components, is_pointwise
from edgemeta_export.layout.convolution import Geometry
from edgemeta_export.layout.norm import LateGradient, LateNorm, NormGradient, StillProduct
from edgemeta_export.layout.pointwise import UNHANDLED, filters, images, strips
from edgemeta_export.layout.strip import Strip
from edgemeta_export.layout.values import Filter, Image, Uniform

LAID = Image | Strip | Uniform | Filter | LateNorm | LateGradient | NormGradient

Handler = Callable[["LayoutInterpreter", Node, tuple[Any, ...]], Any]
HANDLERS: dict[Any, Handler] = {}
VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


def handles(*targets: Any) -> Callable[[Handler], Handler]:
    """Register the decorated function for some ops.

    It gets the interpreter, the node, and the arguments as they are laid out; it may return
    `UNHANDLED` to have the op run on plain tensors.
    """

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(targets, handler))
        return handler

    return register


class LayoutInterpreter(Interpreter):
    """Runs a graph of ATen ops, keeping images as rows or strips, and filters as matrices.

    Args:
        module: the graph; its nodes know their shapes (`node.meta["val"]`).
        fixed: for each tensor that it takes, whether its value never changes on the device.
        still: the same for those that do not change between the steps of an adaptation.
        tiles: compute convolutions by tiles where that is faster (see `winograd`).

    Attributes:
        components: which images agree on an order of pixels.
        fixed: nodes whose value never changes on the device.
        still: nodes whose value does not change between steps.
        tiles: whether convolutions may be computed by tiles.
        columns: what convolutions have unfolded, for their gradients.
        spread: the same for those by tiles.
        routed: what max pooling was given, by the node that routes it to pixels.
        products: convolutions of what does not change between steps.
    """

    def __init__(
        self,
        module: GraphModule,
        fixed: Sequence[bool],
        still: Sequence[bool],
        *,
        tiles: bool = True,
    ) -> None:
        super().__init__(module)
        self.tiles = tiles
        self.components = Components(module.graph)
        self.fixed = _depending_only(module, fixed)
        self.still = _depending_only(module, still)
        self.columns: dict[Any, tuple[Tensor, Geometry]] = {}
        self.spread: dict[Node, Tensor] = {}
        self.routed: dict[Node, Image] = {}
        self.products: dict[Node, StillProduct] = {}

    def run_node(self, n: Node) -> Any:
        """Run one node; the base class would not tell an op which node it is."""
        with self._set_current_node(n):
            return self._run(n)

    def _run(self, n: Node) -> Any:
        if n.op == "output":
            args, _ = self.fetch_args_kwargs_from_env(n)
            return tree_map(plain, args[0], is_leaf=_is_laid)
        if n.op != "call_function":
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n.target is not CONVOLUTION_BACKWARD:  # the only one that knows what to make of it
            args = tuple(a.image() if isinstance(a, NormGradient) else a for a in args)
        if not kwargs and (handler := HANDLERS.get(n.target)) is not None:
            found = handler(self, n, args)
            if found is not UNHANDLED:
                return found
        if is_pointwise(n.target) and any(map(_is_laid, args)):
            found = self._pointwise(n, args, kwargs)
            if found is not UNHANDLED:
                return found
        assert callable(n.target)  # noqa: S101  # of a call_function node it is
        if n.target is operator.getitem:
            return n.target(*args)
        args, kwargs = tree_map(plain, (args, kwargs), is_leaf=_is_laid)
        if n.target in VIEWS:  # what was laid out lies in memory as no view may show it
            return torch.ops.aten.reshape.default(*args, **kwargs)
        return n.target(*args, **kwargs)

    def image(self, value: Any, node: Any) -> Image:
        """Return what `node` made as rows, in the order that its component agreed on."""
        grid = self.components.grid(node)
        if isinstance(value, Image) and value.grid == grid:
            return value
        return Image.of(plain(value), grid)

    def strip(self, value: Any, node: Any) -> Strip:
        """Return what `node` made as a strip, in the frame of its component."""
        frame = self.components.frame(node)
        assert frame is not None  # noqa: S101  # the callers have asked
        if isinstance(value, Strip) and value.frame == frame:
            return value
        return Strip.of(plain(value), frame)

    def _pointwise(self, node: Node, args: tuple[Any, ...], kwargs: Any) -> Any:
        """Run an op that takes its arguments number by number, in the layout that they share."""
        if any(isinstance(a, Filter) for a in args):
            return filters(node, args, kwargs)
        if self.components.frame(node) and any(isinstance(a, Strip) for a in args):
            laid = [self.strip(a, node) if isinstance(a, Strip) else a for a in args]
            return strips(node, laid, kwargs)
        return images(node, args, kwargs, self.components)


def plain(value: Any) -> Any:
    """Return a value as the plain tensor that it stands for."""
    return value.plain() if _is_laid(value) else value


def _is_laid(value: Any) -> bool:
    return isinstance(value, LAID)


def _depending_only(module: GraphModule, inputs: Sequence[bool]) -> frozenset[Node]:
    """Return the nodes that depend on nothing but the chosen inputs."""
    placeholders = module.graph.find_nodes(op="placeholder")
    found = {node for node, chosen in zip(placeholders, inputs, strict=True) if chosen}
    for node in module.graph.nodes:
        if node.all_input_nodes and found.issuperset(node.all_input_nodes):
            found.add(node)
    return frozenset(found)
