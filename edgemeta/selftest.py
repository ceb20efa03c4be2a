"""The recorded episode of a bundle, and what PyTorch computed for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.errors import BundleError


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
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read", got=error) from error
    try:
        found = Selftest(
            support_x=tensors[bundle.SUPPORT_X],
            support_y=tensors[bundle.SUPPORT_Y],
            query_x=tensors[bundle.QUERY_X],
            steps=int(tensors[bundle.STEPS]),
            lr_scale=float(tensors[bundle.LR_SCALE]),
            state={
                tensor.name: tensors[bundle.next_name(tensor.name)] for tensor in manifest.state
            },
            losses=tensors[bundle.LOSSES],
            prediction=tensors[bundle.prediction_name(manifest.task)],
        )
        ways = None if manifest.ways is None else found.prediction.shape[1]
        for tensor in manifest.state:
            if found.state[tensor.name].shape != tensor.shape_at(ways):
                raise ValueError(f"{tensor.name} has shape {found.state[tensor.name].shape}")
        for name, values in tensors.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} is not finite")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError(f"{path} breaks the contract", got=error) from error
    return found
