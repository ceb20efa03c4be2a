"""Replaying a bundle's recorded episode: does this machine compute what PyTorch did?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from edgemeta import bundle
from edgemeta.errors import BundleError, ParityError
from edgemeta.runner import Runner


@dataclass(frozen=True)
class Difference:
    """How far one group of tensors is from PyTorch.

    Attributes:
        largest: the largest absolute difference in the tensor that comes nearest to its limit.
        limit: of that tensor: atol + rtol * its largest value.
        tensor: its name.
    """

    largest: float
    limit: float
    tensor: str

    @property
    def passed(self) -> bool:
        """Whether the difference is within the limit."""
        return self.largest <= self.limit


def verify(runner: Runner) -> dict[str, Difference]:
    """Replay the selftest of a bundle.

    Returns:
        The difference of each group: "state", "losses", and "logits" or "output".

    Raises:
        BundleError: the selftest cannot be used.
        ParityError: a difference exceeds its limit, or is not a number.
    """
    recorded, settings = _read(runner)
    try:
        steps, lr_scale = int(settings[bundle.STEPS]), float(settings[bundle.LR_SCALE])
        x, y, queries = (
            recorded[name] for name in (bundle.SUPPORT_X, bundle.SUPPORT_Y, bundle.QUERY_X)
        )
        learner = runner.adapt(x, y, steps=steps, lr_scale=lr_scale)
        prediction = bundle.prediction_name(runner.manifest.task)
        state = {bundle.next_name(n): tensor for n, tensor in learner.state_dict().items()}
        found = {
            "state": _compare(runner, state, recorded),
            bundle.LOSSES: _compare(runner, {bundle.LOSSES: learner.losses}, recorded),
            prediction: _compare(runner, {prediction: learner.predict_logits(queries)}, recorded),
        }
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"{runner.path / bundle.SELFTEST} breaks the contract", got=error
        ) from error
    for difference in found.values():
        if not difference.passed:
            raise ParityError(
                f"this runtime does not compute what PyTorch did: {difference.tensor} differs",
                got=f"{difference.largest:.3g}",
                expected=f"at most {difference.limit:.3g}",
                hint="report it with the output of `edgemeta inspect --json`",
            )
    return found


def _compare(
    runner: Runner, got: Mapping[str, NDArray[Any]], recorded: Mapping[str, NDArray[Any]]
) -> Difference:
    """Return the difference of the tensor that comes nearest to its limit."""
    atol, rtol = (float(runner.manifest.parity[name]) for name in ("atol", "rtol"))
    found = []
    for name, tensor in got.items():
        want = recorded[name]
        if tensor.shape != want.shape:
            raise ValueError(f"{name} has shape {want.shape} instead of {tensor.shape}")
        limit = atol + rtol * float(np.abs(want).max())
        largest = float(np.abs(tensor - want).max())
        found.append(Difference(largest if np.isfinite(largest) else np.inf, limit, name))
    return max(found, key=lambda difference: difference.largest / difference.limit)


def _read(runner: Runner) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    path = runner.path / bundle.SELFTEST
    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path} cannot be read", got=error) from error
