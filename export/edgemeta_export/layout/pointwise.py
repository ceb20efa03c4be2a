"""Ops that take their arguments number by number run on any layout that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from edgemeta_export.layout.components import CONVOLUTION, Components, depthwise_gap, image_shape
from edgemeta_export.layout.strip import Strip
from edgemeta_export.layout.values import Filter, Grid, Image, Uniform

aten = torch.ops.aten

UNHANDLED = object()
"""Stands for: run this op on plain tensors."""

SUMS = (aten.mean.dim, aten.sum.dim_IntList)


def filters(node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a pointwise op on filters, such as an update of weights by their gradient."""
    pattern = next(a for a in args if isinstance(a, Filter))
    laid = [_as_matrix(a, pattern) for a in args]
    if UNHANDLED in laid:
        return UNHANDLED
    return replace(pattern, matrix=_call(node, laid, kwargs))


def images(
    node: Node, args: Sequence[Any], kwargs: Mapping[str, Any], components: Components
) -> Any:
    """Run a pointwise op on rows; what is the same at every pixel stays one number a channel."""
    shape = image_shape(node)
    if shape is None:
        return UNHANDLED
    size = shape[1:]
    uniform = not any(isinstance(a, Image | Strip) for a in args)
    grid = Grid(size, (0,)) if uniform else components.grid(node)
    laid = [_as_rows(a, grid, uniform, len(size) + 2) for a in args]
    if UNHANDLED in laid:
        return UNHANDLED
    rows = _call(node, laid, kwargs)
    return Uniform(rows, size, tuple(node.meta["val"].shape)) if uniform else Image(rows, grid)


def strips(node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run a pointwise op on strips; where a reader needs zeros in the gaps, put them there."""
    pattern = next(a for a in args if isinstance(a, Strip))
    laid = [_as_strip_rows(a, pattern) for a in args]
    if UNHANDLED in laid:
        return UNHANDLED
    made = pattern.like(_call(node, laid, kwargs), clean=_stays_clean(node.target, args))
    return made.cleaned() if any(map(_wants_zeros, node.users)) else made


def _call(node: Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    target: Any = node.target
    made: Tensor = target(*args, **kwargs)
    return made


def _as_matrix(arg: Any, pattern: Filter) -> Any:
    if isinstance(arg, Filter):
        same = (arg.shape, arg.taps_first) == (pattern.shape, pattern.taps_first)
        return arg.matrix if same else UNHANDLED
    if not isinstance(arg, Tensor) or arg.ndim == 0:
        return arg
    return pattern.like(arg).matrix if tuple(arg.shape) == pattern.shape else UNHANDLED


def _as_rows(arg: Any, grid: Grid, uniform: bool, ndim: int) -> Any:
    """Return an argument as rows (n, p, c), p being 1 if it may be."""
    if isinstance(arg, Image) and arg.grid == grid:
        return arg.rows
    if isinstance(arg, Uniform):
        return arg.rows if arg.size == grid.size else UNHANDLED
    if isinstance(arg, Image | Strip):
        arg = arg.plain()
    if not isinstance(arg, Tensor) or arg.ndim == 0:
        return arg
    arg = arg.reshape(*[1] * (ndim - arg.ndim), *arg.shape)
    n, c, *size = arg.shape
    if _are_ones(size):
        return arg.reshape(n, 1, c)
    return Image.of(arg, grid).rows if tuple(size) == grid.size and not uniform else UNHANDLED


def _as_strip_rows(arg: Any, pattern: Strip) -> Any:
    """Return an argument as rows (c, L), or (c, 1) if that will do."""
    if isinstance(arg, Strip):
        return arg.rows
    if isinstance(arg, Uniform):
        n, _, c = arg.rows.shape
        arg = arg.rows.reshape(n, c, *[1] * len(arg.size))
    elif isinstance(arg, Image):
        arg = arg.plain()
    if not isinstance(arg, Tensor) or arg.ndim == 0:
        return arg
    ndim = 2 + len(pattern.frame.size)
    arg = arg.reshape(*[1] * (ndim - arg.ndim), *arg.shape)
    n, c, *size = arg.shape
    one_sample = isinstance(n, int) and n == 1
    if not _are_ones(size):
        whole = tuple(size) == pattern.frame.size and not one_sample
        return Strip.of(arg, pattern.frame).rows if whole else UNHANDLED
    if one_sample:
        return arg.reshape(c, 1)
    _, short, _, step = pattern.shape
    wide = arg.reshape(n, c).t()[:, None, :, None].expand(c, short, n, step)
    return wide.reshape(c, -1)


def _stays_clean(target: Any, args: Sequence[Any]) -> bool:
    """Whether zeros in the gaps of an op's arguments make zeros in what it returns."""
    clean = [isinstance(a, Strip) and a.clean for a in args]
    if target in (aten.mul.Tensor, aten.mul.Scalar):
        return any(clean)
    if target is aten.threshold_backward.default and args[2] == 0:
        return clean[0] or clean[1]
    if target in (aten.relu.default, aten.detach.default, aten.neg.default):
        return clean[0]
    return target in (aten.add.Tensor, aten.sub.Tensor) and all(clean)


def _wants_zeros(user: Node) -> bool:
    """Whether a reader of a strip needs the gaps to be zero: then they are made so once."""
    if user.target is CONVOLUTION:
        return depthwise_gap(user) is not None
    return user.target in SUMS


def _are_ones(sizes: Sequence[Any]) -> bool:
    return all(isinstance(n, int) and n == 1 for n in sizes)
