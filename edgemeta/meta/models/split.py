"""A model in two parts: what no trained tensor reaches, and the rest.

The forward is traced with `torch.fx`. A layer without trained tensors is one node of the graph, as
is one whose code cannot be traced: its children are then not told apart. The graph is cut at the
last value from which, with the number of samples, all that follows can be computed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from edgemeta.meta.inner.norms import SupportNorm, takes_batch_statistics
from edgemeta.meta.inner.shared_head import SharedHead

SIZES = 3, 5  # numbers of samples that are tried: what differs between them counts samples
# Of the largest value, float32: kernels differ with the number of samples.
ROUNDING = 1e-4
_ASSERTS = ("_assert", "_assert_is_none")  # fx writes them for arguments that keep their default
_PLAIN = (bool, float, str, type(None), torch.dtype, torch.device)


class Split(NamedTuple):
    """A model as `rest(front(x))`.

    Attributes:
        front: maps a raw batch (N, *shape) to features (N, *feature_shape), each sample alone.
        rest: maps the features to the model's output. Its parameters and buffers are those of the
            model that it reads: the same tensors under the same names.
    """

    front: nn.Module
    rest: nn.Module


def split_frozen(model: nn.Module, trained: Collection[str], example_x: Tensor) -> Split | None:
    """Cut a model behind what no trained tensor reaches.

    Norms that take statistics of a batch or of a support set belong to the rest, whatever is
    trained.

    Args:
        model: maps (N, *shape) to one tensor (N, ...); in eval mode. It stays as it is, and both
            parts share its layers.
        trained: names of the parameters that adapt or are meta-trained.
        example_x: (n, *shape) samples on the model's device, of which a few are run.

    Returns:
        The two parts, cut as late as possible; None where there is no such cut: everything is
        trained, the code cannot be traced, or samples see each other.

    Example:
        front, rest = split_frozen(resnet, ["fc.weight", "fc.bias"], images)
        logits = rest(front(images))  # those of resnet(images)
    """
    own = dict(model.named_parameters())
    tensors = {id(own[name]) for name in trained}
    try:
        graph = _traced(model, tensors)
        batches = [_first(example_x, size) for size in SIZES]
        values = [_values(model, graph, batch) for batch in batches]
    except Exception:  # whatever foreign code raises when it is traced: then it is not split
        return None
    late = _Cutter(model, graph, values, tensors)
    for cut in reversed(list(graph.nodes)):
        if not late.may_be_cut(cut):
            continue
        split = late.at(cut)
        if split is not None and _same(model, split, trained, batches):
            return split
    return None


class _Tracer(fx.Tracer):
    """Records layers without trained tensors whole, and those whose code cannot be traced."""

    def __init__(self, trained: Collection[int]) -> None:
        super().__init__()
        self._trained = trained
        self._whole: set[nn.Module] = set()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a layer is one node."""
        return (
            m in self._whole
            or isinstance(m, SharedHead | SupportNorm)
            or parametrize.is_parametrized(m)
            or not _reaches(m, self._trained)
            or super().is_leaf_module(m, module_qualified_name)
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Record a layer."""
        before = set(self.graph.nodes)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if m in self._whole:
                raise
            for node in reversed(list(self.graph.nodes)):
                if node not in before:
                    self.graph.erase_node(node)
            self._whole.add(m)
            return super().call_module(m, forward, args, kwargs)


def _traced(model: nn.Module, trained: Collection[int]) -> fx.Graph:
    """Record the forward; arguments beside the samples keep their defaults."""
    _, *others = inspect.signature(model.forward).parameters.values()
    defaults = {p.name: p.default for p in others if p.default is not p.empty}
    graph = _Tracer(trained).trace(model, defaults)
    for node in reversed(list(graph.nodes)):
        if getattr(node.target, "__name__", "") in _ASSERTS:
            graph.erase_node(node)
    graph.eliminate_dead_code(_is_kept)
    for node in [node for node in graph.nodes if node.op == "placeholder"][1:]:
        graph.erase_node(node)  # raises where something reads it
    return graph


def _is_kept(node: fx.Node) -> bool:
    """Whether a node stays although nothing reads it."""
    return node.op in ("placeholder", "output")


def _reaches(module: nn.Module, trained: Collection[int]) -> bool:
    """Whether a layer holds what is trained, or takes the statistics of a batch."""
    return any(id(p) in trained for p in module.parameters()) or any(
        takes_batch_statistics(m) for m in module.modules()
    )


def _first(x: Tensor, count: int) -> Tensor:
    """Return so many samples of x, which starts anew at its end."""
    return x[torch.arange(count, device=x.device) % len(x)]


def _values(model: nn.Module, graph: fx.Graph, x: Tensor) -> dict[str, Any]:
    """Return what each node of a graph gives, by its name."""
    found: dict[str, Any] = {}

    class Watching(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            found[n.name] = super().run_node(n)
            return found[n.name]

    with torch.no_grad():
        Watching(model, graph=graph).run(x)
    return found


class _Cutter:
    """Makes the two parts of a traced model.

    Args:
        model: that was traced.
        graph: its nodes.
        values: what the nodes give for each of `SIZES`.
        trained: ids of the trained tensors.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: fx.Graph,
        values: list[dict[str, Any]],
        trained: Collection[int],
    ) -> None:
        self._model, self._graph, self._values = model, graph, values
        self._output = next(n for n in graph.nodes if n.op == "output")
        self._reached: set[fx.Node] = set()
        for node in graph.nodes:
            if self._reaches(node, trained):
                self._reached.add(node)

    def _reaches(self, node: fx.Node, trained: Collection[int]) -> bool:
        if node.op == "get_attr":
            return id(_attribute(self._model, str(node.target))) in trained
        if node.op == "call_module" and _reaches(
            self._model.get_submodule(str(node.target)), trained
        ):
            return True
        return any(before in self._reached for before in node.all_input_nodes)

    def may_be_cut(self, node: fx.Node) -> bool:
        """Whether a node gives features (N, ...) of each sample alone, behind some computation."""
        if node.op in ("placeholder", "output", "get_attr") or node in self._reached:
            return False
        few, more = (value[node.name] for value in self._values)
        return (
            isinstance(few, Tensor)
            and isinstance(more, Tensor)
            and few.dtype == torch.float32
            and few.shape[:1] == SIZES[:1]
            and more.shape == (SIZES[1], *few.shape[1:])
            and _close(few, more[: SIZES[0]])
        )

    def at(self, cut: fx.Node) -> Split | None:
        """Cut at a node; None where something behind it needs other values of the samples."""
        behind = self._behind(cut)
        if behind is None:
            return None
        before = set(_upwards(cut))
        if cut.op == "call_module" and len(before) == 2:  # the samples, and one layer
            front = self._model.get_submodule(str(cut.target))
        else:
            front = self._part((n for n in self._graph.nodes if n in before), {}, None)
        return Split(front, self._part((n for n in self._graph.nodes if n in behind), behind, cut))

    def _behind(self, cut: fx.Node) -> dict[fx.Node, Any] | None:
        """Return the nodes that the output needs beside the cut: `...`, or what they stand for."""
        found: dict[fx.Node, Any] = {}
        waiting = [self._output]
        while waiting:
            node = waiting.pop()
            if node is cut or node in found:
                continue
            if node.op == "placeholder":
                return None
            known, constant = self._constant(node)
            found[node] = constant if known else ...
            if not known:
                waiting += node.all_input_nodes
        return found

    def _constant(self, node: fx.Node) -> tuple[bool, Any]:
        """Return whether a node's value follows from the number of samples, and that value."""
        if node.op == "output":
            return False, None
        few, more = (value[node.name] for value in self._values)
        if isinstance(few, tuple) and few and len(few) == len(more):  # a shape
            if all(type(n) is int for n in few):
                parts = [_count(*pair) for pair in zip(few, more, strict=True)]
                return None not in parts, tuple(parts)
        elif type(few) is int:
            count = _count(few, more)
            return count is not None, count
        elif isinstance(few, _PLAIN):
            return few == more, few
        return False, None

    def _part(
        self, nodes: Iterable[fx.Node], constants: dict[fx.Node, Any], cut: fx.Node | None
    ) -> nn.Module:
        """Return some nodes as a module of its own; from a `cut` on, or else from the samples."""
        graph = fx.Graph()
        made: dict[fx.Node, Any] = {}
        if cut is not None:
            made[cut] = graph.placeholder("features")
            samples = graph.call_method("size", (made[cut], 0))
        last: Any = None
        for node in nodes:
            value = constants.get(node, ...)
            if value is not ...:
                made[node] = fx.node.map_aggregate(
                    value, lambda part: samples if part is _SAMPLES else part
                )
            else:
                last = made[node] = graph.node_copy(node, made.__getitem__)
        if cut is None:
            graph.output(last)
        graph.eliminate_dead_code(_is_kept)
        part = fx.GraphModule(self._model, graph, "Front" if cut is None else "Rest")
        return part.eval()


_SAMPLES = object()  # stands for the number of samples


def _count(few: int, more: int) -> Any:
    """Return what a number is that was seen with both of `SIZES`; None for a product."""
    if (few, more) == SIZES:
        return _SAMPLES
    return few if few == more else None


def _upwards(node: fx.Node) -> Iterator[fx.Node]:
    """Yield a node, and all that it is computed from."""
    seen: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += node.all_input_nodes


def _attribute(model: nn.Module, path: str) -> Any:
    found: Any = model
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(one.abs().max()) if one.numel() else 0.0
    return bool((one - other).abs().le(ROUNDING * scale).all())


def _same(
    model: nn.Module, split: Split, trained: Collection[str], batches: Iterable[Tensor]
) -> bool:
    """Whether both parts together compute what the model does, and the rest holds the trained."""
    kept = {name for name, _ in split.rest.named_parameters()}
    with torch.no_grad():
        return kept >= set(trained) and all(
            _close(model(x), split.rest(split.front(x))) for x in batches
        )
