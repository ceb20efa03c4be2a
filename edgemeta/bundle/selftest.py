"""The recorded episode of a bundle, and what PyTorch computed for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import manifest as bundle
from edgemeta.bundle._tensor_file import read_tensors
from edgemeta.bundle.files import read_file
from edgemeta.bundle.manifest import BLOCK, Manifest
from edgemeta.errors import BundleError
from edgemeta.util.strict_json import short

SLACK = 1e-5  # a root mean square is rounded to float32, and may be that of equal values


@dataclass(frozen=True)
class Sampled:
    """What is kept of a large result, of every block of `BLOCK` values in C order.

    Attributes:
        shape: of the whole.
        values: (blocks,) float32, one of each block; the largest of all is among them.
        places: (blocks,) int32, the flat indices of these.
        rms: (blocks,) float32, the root mean squares of the blocks: a value that was not chosen
            is in one of them.
    """

    shape: tuple[int, ...]
    values: NDArray[np.float32]
    places: NDArray[np.int32]
    rms: NDArray[np.float32]


Result = NDArray[Any] | Sampled
"""A recorded result: whole, or what is kept of it."""


@dataclass(frozen=True)
class Selftest:
    """What `selftest.safetensors` holds.

    Attributes:
        support_x: (S, *input_shape).
        support_y: (S,) labels or (S, *target_shape) targets.
        query_x: (Q, *input_shape); the support samples where the file has none.
        steps: inner steps that PyTorch took.
        lr_scale: multiplied the inner learning rate.
        state: every tensor of the state afterwards, by torch name.
        losses: (steps + 1,) float32.
        prediction: (Q, ways) logits or (Q, *target_shape) outputs of the adapted state.
    """

    support_x: NDArray[Any]
    support_y: NDArray[Any]
    query_x: NDArray[Any]
    steps: int
    lr_scale: float
    state: dict[str, Result]
    losses: NDArray[np.float32]
    prediction: Result


def read_selftest(directory: Path, manifest: Manifest) -> Selftest:
    """Read the selftest of a bundle.

    Raises:
        BundleError: it is missing, damaged, or breaks the contract.
    """
    path = directory / bundle.SELFTEST
    content = read_file(directory, bundle.SELFTEST, manifest)
    try:
        return parse_selftest(content, manifest)
    except ValueError as error:
        raise BundleError(f"{path} breaks the contract", got=short(error)) from error


def parse_selftest(content: bytes, manifest: Manifest) -> Selftest:
    """Read the content of `selftest.safetensors`.

    Raises:
        ValueError: it breaks the contract.
    """
    _, tensors = read_tensors(content)
    tensors.setdefault(bundle.QUERY_X, tensors.get(bundle.SUPPORT_X, np.empty(0)))
    prediction = bundle.prediction_name(manifest.task)
    names = (bundle.SUPPORT_X, bundle.SUPPORT_Y, bundle.QUERY_X, bundle.STEPS, bundle.LR_SCALE)
    state = {tensor.name: bundle.next_name(tensor.name) for tensor in manifest.state}
    # Labels say nothing of the ways of a shared head, the logits do: these are always whole.
    large = {*state.values(), *([] if prediction == bundle.LOGITS else [prediction])}
    large = {name for name in large if name not in tensors}
    parts = {part for name in large for part in bundle.sample_names(name)}
    if odd := ({*names, *state.values(), bundle.LOSSES, prediction} - large | parts) ^ set(tensors):
        raise ValueError(f"missing or unknown tensors {', '.join(sorted(odd))}")
    shapes = _shapes(tensors, manifest)
    results: dict[str, Result] = {name: sampled(tensors, name, shapes[name][0]) for name in large}
    for name in shapes.keys() - large:
        found = tensors[name].shape, tensors[name].dtype.name
        if found != shapes[name]:
            raise ValueError(f"{name} is {found[1]} {found[0]}, not {shapes[name]}")
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name} is not finite")
        results[name] = tensors[name]
    return Selftest(
        support_x=tensors[bundle.SUPPORT_X],
        support_y=tensors[bundle.SUPPORT_Y],
        query_x=tensors[bundle.QUERY_X],
        steps=int(tensors[bundle.STEPS]),
        lr_scale=float(tensors[bundle.LR_SCALE]),
        state={name: results[file_name] for name, file_name in state.items()},
        losses=tensors[bundle.LOSSES],
        prediction=results[prediction],
    )


def sampled(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> Sampled:
    """Return what a file keeps of the large result `name`.

    Args:
        tensors: of the file.
        name: of the result.
        shape: of the whole.

    Raises:
        ValueError: it is damaged.
    """
    size = math.prod(shape)
    blocks = -(-size // BLOCK)
    dtypes = ("float32", "int32", "float32")
    for part, dtype in zip(bundle.sample_names(name), dtypes, strict=True):
        found = tensors[part]
        if (found.shape, found.dtype.name) != ((blocks,), dtype):
            raise ValueError(f"{part} is {found.dtype} {found.shape}, not {dtype} ({blocks},)")
        if not np.isfinite(found).all():
            raise ValueError(f"{part} is not finite")
    values, places, rms = (tensors[part] for part in bundle.sample_names(name))
    if (places // BLOCK != np.arange(blocks)).any() or (places >= size).any():
        raise ValueError(f"{name} has not one place in each block of {BLOCK} values")
    largest = float(np.abs(values).max(initial=0))
    if (rms < 0).any() or (rms > largest * (1 + SLACK)).any():
        raise ValueError(f"{name} has a root mean square outside 0..{largest:g}, its largest value")
    return Sampled(shape, values, places, rms)


def root_mean_squares(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return the root mean square of every block of an array, (blocks,)."""
    starts = np.arange(0, array.size, BLOCK)
    # In float64: what is compared is the array's rounding, not that of a sum.
    sums = np.add.reduceat(np.square(array.reshape(-1), dtype=np.float64), starts)
    found: NDArray[np.float64] = np.sqrt(sums / np.minimum(BLOCK, array.size - starts))
    return found


def _shapes(
    tensors: Mapping[str, NDArray[Any]], manifest: Manifest
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and the dtype of every tensor, given the free sizes that they show."""
    prediction = bundle.prediction_name(manifest.task)
    free = [bundle.SUPPORT_X, bundle.QUERY_X, bundle.LOSSES]
    if manifest.most_ways is not None:
        free.append(prediction)
    if any(tensors[name].ndim == 0 for name in free) or 0 in tensors[bundle.LOSSES].shape:
        raise ValueError("a scalar in place of a batch, or no losses")
    samples, queries, losses = (len(tensors[name]) for name in free[:3])
    ways = None
    if manifest.most_ways is not None:
        ways = tensors[prediction].shape[-1]
        if not 1 <= ways <= manifest.most_ways:
            raise ValueError(f"{ways} ways")
    if tensors[bundle.STEPS].tolist() != losses - 1:
        raise ValueError(f"{losses} losses do not fit the steps")
    x, y = manifest.input, manifest.target
    output = y.shape if ways is None else (ways,)
    return {
        bundle.SUPPORT_X: ((samples, *x.shape), x.dtype),
        bundle.SUPPORT_Y: ((samples, *y.shape), y.dtype),
        bundle.QUERY_X: ((queries, *x.shape), x.dtype),
        bundle.STEPS: ((), "int64"),
        bundle.LR_SCALE: ((), "float32"),
        bundle.LOSSES: ((losses,), "float32"),
        prediction: ((queries, *output), "float32"),
        **{
            bundle.next_name(tensor.name): (tensor.shape_at(ways), tensor.dtype)
            for tensor in manifest.state
        },
    }
