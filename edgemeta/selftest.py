"""The recorded episode of a bundle, and what PyTorch computed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.bundle_files import read_file
from edgemeta.errors import BundleError
from edgemeta.strict import short
from edgemeta.tensor_file import read_tensors


@dataclass(frozen=True)
class Selftest:
    """What `selftest.safetensors` holds.

    Attributes:
        support_x: (S, *input_shape).
        support_y: (S,) labels or (S, *target_shape) targets.
        query_x: (Q, *input_shape).
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
    state: dict[str, NDArray[np.float32]]
    losses: NDArray[np.float32]
    prediction: NDArray[np.float32]


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
    prediction = bundle.prediction_name(manifest.task)
    names = (bundle.SUPPORT_X, bundle.SUPPORT_Y, bundle.QUERY_X, bundle.STEPS, bundle.LR_SCALE)
    state = {tensor.name: bundle.next_name(tensor.name) for tensor in manifest.state}
    if odd := {*names, *state.values(), bundle.LOSSES, prediction} ^ set(tensors):
        raise ValueError(f"missing or unknown tensors {', '.join(sorted(odd))}")
    expected = _expected(tensors, manifest)
    for name, tensor in tensors.items():
        if (tensor.shape, tensor.dtype.name) != expected[name]:
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {expected[name]}")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name} is not finite")
    return Selftest(
        support_x=tensors[bundle.SUPPORT_X],
        support_y=tensors[bundle.SUPPORT_Y],
        query_x=tensors[bundle.QUERY_X],
        steps=int(tensors[bundle.STEPS]),
        lr_scale=float(tensors[bundle.LR_SCALE]),
        state={name: tensors[file_name] for name, file_name in state.items()},
        losses=tensors[bundle.LOSSES],
        prediction=tensors[prediction],
    )


def _expected(
    tensors: Mapping[str, NDArray[Any]], manifest: Manifest
) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and the dtype of every tensor, given the free sizes that they show."""
    prediction = bundle.prediction_name(manifest.task)
    free = (bundle.SUPPORT_X, bundle.QUERY_X, bundle.LOSSES, prediction)
    if any(tensors[name].ndim == 0 for name in free) or 0 in tensors[bundle.LOSSES].shape:
        raise ValueError("a scalar in place of a batch, or no losses")
    samples, queries, losses, _ = (len(tensors[name]) for name in free)
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
