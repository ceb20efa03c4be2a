"""The ops that gain by a layout, each handed to what computes it on rows or on strips."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from edgemeta_export.layout import convolution as rows
from edgemeta_export.layout import norm as norms
from edgemeta_export.layout import strip as strips
from edgemeta_export.layout.components import (
    CONVOLUTION,
    CONVOLUTION_BACKWARD,
    MAX_POOL,
    MAX_POOL_BACKWARD,
    NORM_BACKWARD,
    RESHAPES,
    RUNNING_NORM,
    depthwise_gap,
    forward_of,
    image_shape,
    is_mixing,
    output_of,
    readers_of,
)
from edgemeta_export.layout.interpreter import LayoutInterpreter, handles, plain
from edgemeta_export.layout.norm import LateGradient, LateNorm, NormGradient, StillProduct
from edgemeta_export.layout.pointwise import SUMS, UNHANDLED
from edgemeta_export.layout.pool_windows import PoolWindows, pool, unpool
from edgemeta_export.layout.strip import Strip
from edgemeta_export.layout.values import Filter, Grid, Image, Uniform
from edgemeta_export.layout.winograd import Tiles, tiles_if_faster

aten = torch.ops.aten

How = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Stride, padding, dilation."""


@handles(CONVOLUTION)
def _convolution(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, weight, bias, *how, transposed, _, groups = args
    # With constant weights the runtime's own convolution is faster: it packs them once.
    if transposed or node.args[1] in run.fixed or image_shape(node) is None:
        return UNHANDLED
    weight, source = plain(weight), node.args[0]
    frame = run.components.frame(node)
    if frame is not None and run.components.frame(source) == frame:
        if depthwise_gap(node) is not None:
            return strips.depthwise(run.strip(x, source).cleaned(), weight, bias)
        if is_mixing(node):
            return strips.mix(run.strip(x, source), weight, bias)
    if groups != 1:
        return UNHANDLED
    if frame is not None:
        strip = _strip_columns(run, node, source, x, weight, tuple(how))
        return strips.mix(strip, Filter.of(weight).matrix, bias)
    if (tiles := _tiles(run, node, weight, tuple(how))) is not None:
        spread = _spread(run, node, run.image(x, source), tiles)
        return tiles.convolve(spread, Filter.of(weight, taps_first=True), bias)
    columns, _ = _columns(run, node, source, x, weight, tuple(how))
    filters, grid = Filter.of(weight), run.components.grid(node)
    if source in run.still:
        run.products[node] = StillProduct(columns, filters, bias, grid)
    return rows.convolve(columns, filters, bias, grid)


@handles(CONVOLUTION_BACKWARD)
def _convolution_backward(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    grad, x, weight, _, *how, transposed, _, groups, wanted = args
    forward, source = forward_of(node), node.args[1]
    if transposed or forward is None or image_shape(forward) is None:
        return UNHANDLED
    weight = plain(weight)
    if isinstance(grad, NormGradient):
        product = run.products.get(forward)
        if product is not None and product is grad.norm.product and not wanted[0]:
            return None, grad.weights(product), weight.new_zeros(weight.shape[0])
        grad = grad.image()
    frame = run.components.frame(forward)
    if frame is not None and run.components.frame(source) == frame:
        outer = run.strip(grad, forward).cleaned()
        if depthwise_gap(forward) is not None:
            image = run.strip(x, source).cleaned()
            return strips.depthwise_gradients(outer, image, weight, wanted)
        if is_mixing(forward):
            return strips.mix_gradients(outer, run.strip(x, source), weight, wanted)
    if groups != 1:
        return UNHANDLED
    if frame is not None and not wanted[0]:
        outer = run.strip(grad, forward).cleaned()
        columns = _strip_columns(run, forward, source, x, weight, tuple(how))
        _, dw, db = strips.mix_gradients(outer, columns, Filter.of(weight).matrix, wanted)
        return None, Filter(dw, tuple(weight.shape)) if dw is not None else None, db
    return _row_gradients(run, node, run.image(grad, forward), x, weight, tuple(how), wanted)


def _row_gradients(
    run: LayoutInterpreter,
    node: Node,
    grad: Image,
    x: Any,
    weight: Tensor,
    how: How,
    wanted: Sequence[bool],
) -> tuple[Image | None, Filter | None, Tensor | None]:
    """Gradients of a convolution with respect to image, weight and bias, as far as wanted."""
    forward, source = forward_of(node), node.args[1]
    assert forward is not None  # noqa: S101  # the caller has asked
    grid = run.components.grid(source)
    dx = dw = db = None
    if (tiles := _tiles(run, forward, weight, how)) is not None:
        products = tiles.products_gradient(grad)
        if wanted[0]:
            dx = tiles.input_gradient(products, Filter.of(weight, taps_first=True), grid)
        if wanted[1]:
            spread = _spread(run, forward, run.image(x, source), tiles)
            dw = tiles.weight_gradient(products, spread, weight.shape)
    else:
        columns, geometry = _columns(run, forward, source, x, weight, how)
        if wanted[0]:
            dx = rows.input_gradient(grad, Filter.of(weight), geometry, grid)
        if wanted[1]:
            dw = rows.weight_gradient(columns, grad, weight.shape)
    if wanted[2]:
        outer = node.args[0]
        assert isinstance(outer, Node)  # noqa: S101  # by the op's signature
        if _is_centred(outer):
            db = weight.new_zeros(weight.shape[0])
        else:  # what pooling routes to pixels sums to what it was given
            db = norms.column_sums(run.routed.get(outer, grad))[0]
    return dx, dw, db


def _is_centred(grad: Node) -> bool:
    """Whether a gradient comes from a batch norm, which takes away whatever a bias would add."""
    source = grad.args[0] if grad.target is operator.getitem else None
    return isinstance(source, Node) and source.target is NORM_BACKWARD and source.args[7] is True


def _tiles(run: LayoutInterpreter, node: Node, weight: Tensor, how: How) -> Tiles | None:
    """Return the tiles that a convolution is faster with; None if it is not."""
    if not run.tiles:
        return None
    image, out = run.components.grid(node.args[0]), run.components.grid(node)
    return tiles_if_faster(image, out, weight.shape, *how)


def _spread(run: LayoutInterpreter, node: Node, image: Image, tiles: Tiles) -> Tensor:
    """Return the transformed inputs of a convolution; the gradient takes the forward's."""
    if node not in run.spread:
        run.spread[node] = tiles.spread(image)
    return run.spread[node]


def _columns(
    run: LayoutInterpreter, out: Any, source: Any, x: Any, weight: Tensor, how: How
) -> tuple[Tensor, rows.Geometry]:
    """Return the columns of an image and how they were made; the gradient takes the forward's."""
    kernel, grid = tuple(weight.shape[2:]), run.components.grid(out)
    key = (source, grid, kernel, *map(tuple, how))
    if key not in run.columns:
        image = run.image(x, source)
        geometry = rows.Geometry.of(image.grid, grid, kernel, *how)
        run.columns[key] = (geometry.columns(image), geometry)
    return run.columns[key]


def _strip_columns(
    run: LayoutInterpreter, out: Any, source: Any, x: Any, weight: Tensor, how: How
) -> Strip:
    """Return the columns of an image as a strip of K * C channels in the frame of the output."""
    columns, _ = _columns(run, out, source, x, weight, how)
    grid, frame = run.components.grid(out), run.components.frame(out)
    assert frame is not None  # noqa: S101  # the caller has asked
    image = Image(columns.reshape(-1, len(grid.order), columns.shape[1]), grid)
    return Strip.of(image.plain(), frame)


@handles(MAX_POOL)
def _max_pool(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    windows, made = PoolWindows.of(node), output_of(node, 0)
    late = args[0] if isinstance(args[0], LateNorm) else None
    image = late.signed if late else args[0]
    if windows is None or made is None or not isinstance(image, Image):
        return UNHANDLED
    image = run.image(image, node.args[0])
    out = run.components.grid(made)
    if not _sorted_for(image.grid, windows, out):
        return UNHANDLED
    pooled = pool(image, windows, out)
    return late.finish(pooled) if late else pooled, None


@handles(MAX_POOL_BACKWARD)
def _max_pool_backward(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    windows, indices = PoolWindows.of(node), node.args[7]
    assert isinstance(indices, Node)  # noqa: S101  # by the op's signature
    forward = indices.args[0]
    assert isinstance(forward, Node)  # noqa: S101
    made = output_of(forward, 0)
    if windows is None or made is None or args[7] is not None:
        return UNHANDLED
    grad = run.image(args[0], made)
    if isinstance(args[1], LateNorm):
        return LateGradient(grad, args[1], windows)
    run.routed[node] = grad
    return unpool(grad, run.image(args[1], node.args[1]), windows)


def _sorted_for(grid: Grid, windows: PoolWindows, out: Grid) -> bool:
    order = tuple(windows.order(out).tolist())
    return grid.order[: len(order)] == order


@handles(aten._native_batch_norm_legit.no_stats)
def _batch_norm(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, weight, bias, _, _, eps = args
    if isinstance(x, Strip):
        return strips.batch_norm(x, weight, bias, eps)
    if not isinstance(x, Image):
        return UNHANDLED
    source = node.args[0]
    assert isinstance(source, Node)  # noqa: S101  # by the op's signature
    image = run.image(x, source)
    if _only_pooled(run, node):
        return LateNorm.of(image, weight, bias, eps, run.products.get(source))
    return norms.batch_norm(image, weight, bias, eps)


@handles(RUNNING_NORM)
def _running_norm(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, weight, bias, mean, variance, _, eps = args
    if not isinstance(x, Image | Strip):
        return UNHANDLED
    none = mean.new_zeros(0)  # as PyTorch has it: nothing was computed from the batch
    if isinstance(x, Strip):
        return strips.normalised(x, mean, variance, weight, bias, eps), none, none
    return norms.normalised(x, mean, variance, weight, bias, eps), none, none


def _only_pooled(run: LayoutInterpreter, norm: Node) -> bool:
    """Whether all that reads a norm is one max pooling, and its gradient on the way to the norm."""
    made = output_of(norm, 0)
    readers = [] if made is None else readers_of(made)
    pools = [n for n in readers if n.target is MAX_POOL]
    unpools = [n for n in readers if n.target is MAX_POOL_BACKWARD]
    if len(pools) != 1 or len(readers) != 1 + len(unpools):
        return False
    windows, pooled = PoolWindows.of(pools[0]), output_of(pools[0], 0)
    if windows is None or pooled is None:
        return False
    if not _sorted_for(run.components.grid(made), windows, run.components.grid(pooled)):
        return False
    backs = [reader for unpool in unpools for reader in readers_of(unpool)]
    return all(back.target is NORM_BACKWARD for back in backs)


@handles(aten.detach.default)
def _detach(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    return args[0]


@handles(NORM_BACKWARD)
def _batch_norm_backward(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    grad, x, weight, mean, variance, _, rstd, training, eps, wanted = args
    if isinstance(grad, LateGradient):
        return grad.gradients(rstd)
    if not training and isinstance(x, Strip):
        grad = run.strip(grad, node.args[1])
        return strips.running_norm_backward(grad, x, weight, mean, variance, eps, wanted)
    if not training and isinstance(x, Image):
        grad = run.image(grad, node.args[1])
        return norms.running_norm_backward(grad, x, weight, mean, variance, eps, wanted)
    if isinstance(x, Strip) and training:
        return strips.batch_norm_backward(run.strip(grad, node.args[1]), x, weight, rstd)
    if isinstance(x, Image) and training:
        grad = run.image(grad, node.args[1])
        return norms.batch_norm_backward(grad, x, weight, rstd, eps)
    return UNHANDLED


@handles(aten.native_group_norm.default)
def _group_norm(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, weight, bias, _, _, _, groups, eps = args
    if not isinstance(x, Image):
        return UNHANDLED
    return norms.group_norm(x, weight, bias, groups, eps)


@handles(aten.native_group_norm_backward.default)
def _group_norm_backward(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    grad, x, mean, rstd, weight, *_ = args
    if not isinstance(x, Image):
        return UNHANDLED
    return norms.group_norm_backward(run.image(grad, node.args[0]), x, weight, mean, rstd)


@handles(*SUMS)
def _reduction(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, dims, keep = (*args, False)[:3]
    if not isinstance(x, Image | Strip) or not dims:
        return UNHANDLED
    size = x.grid.size if isinstance(x, Image) else x.frame.size
    samples = x.rows.shape[0] if isinstance(x, Image) else x.samples
    axes, pixels = {d % (2 + len(size)) for d in dims}, set(range(2, 2 + len(size)))
    if axes not in (pixels, pixels | {0}):
        return UNHANDLED
    if 0 in axes:
        total = norms.column_sums(x) if isinstance(x, Image) else strips.channel_sums(x)[None]
    else:
        total = x.rows.sum(1) if isinstance(x, Image) else strips.sample_sums(x)
    if node.target is aten.mean.dim:
        total = total / (math.prod(size) * (samples if 0 in axes else 1))
    if keep:
        return total.reshape(*total.shape, *[1] * len(size))
    return total[0] if 0 in axes else total


@handles(torch.ops.prims.var.default, aten.var.correction)
def _variance(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, dims, *correction = args
    if correction != [0.0] or not isinstance(x, Image | Strip):
        return UNHANDLED
    size = x.grid.size if isinstance(x, Image) else x.frame.size
    if set(dims) != {0, *range(2, 2 + len(size))}:
        return UNHANDLED
    return norms.moments(x)[1] if isinstance(x, Image) else strips.moments(x)[1]


@handles(aten.expand.default)
def _expand(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x, shape = args[:2]
    if not isinstance(x, Tensor) or image_shape(node) is None or x.ndim != len(shape):
        return UNHANDLED
    if not all(isinstance(s, int) and s == 1 for s in x.shape[2:]) or x.ndim < 3:
        return UNHANDLED
    n, c = x.shape[:2]
    return Uniform(x.reshape(n, 1, c), tuple(shape[2:]), tuple(node.meta["val"].shape))


@handles(*RESHAPES)
def _reshape(run: LayoutInterpreter, node: Node, args: tuple[Any, ...]) -> Any:
    x = args[0]
    before, after = image_shape(node.args[0]), image_shape(node)
    if not isinstance(x, Image) or before is None or after is None or before[0] != after[0]:
        return UNHANDLED
    return Image(x.rows, Grid(after[1:], x.grid.order))
