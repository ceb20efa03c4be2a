"""An ONNX graph as an op of PyTorch: for tracing, vmap, and the counter of operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.models.onnx_graph import GRAPHS, OnnxGraph

PROBES = (2, 3, 5)
"""Numbers of samples for which the shapes of outputs are found by running the graph."""


@torch.library.custom_op("edgemeta::onnx_graph", mutates_args=())
def onnx_graph(inputs: Sequence[Tensor], key: str) -> list[Tensor]:
    """Run the graph `GRAPHS[key]`."""
    made = GRAPHS[key].run([tensor.detach().cpu().numpy() for tensor in inputs])
    device = inputs[0].device
    return [torch.from_numpy(np.ascontiguousarray(y)).to(device) for y in made]


@onnx_graph.register_fake
def _(inputs: Sequence[Tensor], key: str) -> list[Tensor]:
    graph = GRAPHS[key]
    shapes = _symbolic_shapes(graph, [tuple(tensor.shape) for tensor in inputs])
    return [
        inputs[0].new_empty(shape, dtype=dtype)
        for shape, dtype in zip(shapes, graph.dtypes, strict=True)
    ]


@register_flop_formula(torch.ops.edgemeta.onnx_graph)
def _(inputs: Sequence[tuple[int, ...]], key: str, *, out_shape: Any = None) -> int:
    """Tell PyTorch's counter of operations what it cannot see."""
    return GRAPHS[key].flops([tuple(size) for size in inputs])


def _no_gradient(ctx: Any, *grads: Any) -> Any:
    raise UnsupportedModelError(
        "no gradient goes through an ONNX graph",
        got=f"parameters in front of {ctx.name} that should adapt or train",
        hint="freeze them: narrow `adapt`, or call requires_grad_(False)",
    )


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.name = GRAPHS[inputs[1]].name


onnx_graph.register_autograd(_no_gradient, setup_context=_remember)


@onnx_graph.register_vmap
def _(info: Any, axes: tuple[Any, ...], inputs: Sequence[Tensor], key: str) -> Any:
    """Run several tasks at once: (T, N, *) -> (T * N, *) and back."""
    tasks = info.batch_size
    whole = [
        tensor if axis is None or tensor.ndim == 1 else tensor.movedim(axis, 0).flatten(0, 1)
        for tensor, axis in zip(inputs, axes[0], strict=True)
    ]
    made = torch.ops.edgemeta.onnx_graph(whole, key)
    return [y.unflatten(0, (tasks, -1)) for y in made], [0] * len(made)


def _symbolic_shapes(graph: OnnxGraph, given: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Return the shapes of outputs, free sizes included, by running the graph at some sizes.

    A size that changes with the number of samples must be one of the inputs' free sizes, or such a
    size times, or divided by, a whole number.

    Raises:
        UnsupportedModelError: one changes in another way.
    """
    if all(isinstance(n, int) for shape in given for n in shape):
        return [list(shape) for shape in graph.shapes(given)]
    free = [n for shape in given for n in shape if not isinstance(n, int)]
    at = [[tuple(_at(n, probe) for n in shape) for shape in given] for probe in PROBES]
    outputs = list(zip(*(graph.shapes(sizes) for sizes in at), strict=True))
    found = []
    for shapes in outputs:
        if len({len(shape) for shape in shapes}) > 1:
            raise _odd(graph, shapes)
        sizes = []
        for seen in zip(*shapes, strict=True):
            size = _size(seen, free)
            if size is None:
                raise _odd(graph, shapes)
            sizes.append(size)
        found.append(sizes)
    return found


def _size(seen: tuple[int, ...], free: Sequence[Any]) -> Any:
    """Return the size that was seen at `PROBES`, in terms of the free ones; None for no such."""
    if len(set(seen)) == 1:
        return seen[0]
    for size in free:
        known = [_at(size, probe) for probe in PROBES]
        factor = seen[0] // known[0] if known[0] else 0
        if factor and all(n == k * factor for n, k in zip(seen, known, strict=True)):
            return size if factor == 1 else size * factor
        divisor = known[0] // seen[0] if seen[0] else 0
        if divisor and all(n * divisor == k for n, k in zip(seen, known, strict=True)):
            return size // divisor
    return None


def _at(size: Any, samples: int) -> int:
    """Return a size for some number of samples."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, samples)))


def _odd(graph: OnnxGraph, shapes: Sequence[tuple[int, ...]]) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the shape of what {graph.name} returns does not follow from the number of samples",
        got=f"{', '.join(map(str, shapes))} for {', '.join(map(str, PROBES))} samples",
        hint="cut it in front of that with outputs=, or pass per_sample=True",
    )
