"""State files: an adapted state on disk, bound to its bundle. No pickle anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from edgemeta.bundle import FORMAT_VERSION, STATE_BUNDLE_KEY, STATE_WAYS_KEY, Manifest
from edgemeta.errors import BundleError
from edgemeta.files import write_atomically

VERSION_KEY = "edgemeta.format_version"
FLOAT32_BYTES = 4
MOST_DIGITS = 10
HEADER_ROOM = 1 << 20  # bytes of safetensors header that a state may have beside its tensors


def write_state(
    path: Path, state: Mapping[str, NDArray[Any]], fingerprint: str, ways: int | None
) -> None:
    """Write a state file, whole or not at all.

    Args:
        path: the `.safetensors` file.
        state: every tensor of the state, by torch name.
        fingerprint: of the bundle.
        ways: how many classes the task has; None for regression.

    Raises:
        EdgemetaError: the file cannot be written.
    """
    metadata = {STATE_BUNDLE_KEY: fingerprint, VERSION_KEY: str(FORMAT_VERSION)}
    if ways is not None:
        metadata[STATE_WAYS_KEY] = str(ways)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in state.items()}
    write_atomically(path, save(tensors, metadata))


def read_state(
    path: Path, manifest: Manifest, fingerprint: str
) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Read a state file and check that it is one of this bundle.

    Returns:
        Its tensors by torch name, and how many classes its task has.

    Raises:
        BundleError: missing, damaged, of another bundle, or with other tensors.
    """
    expected = {tensor.name: tensor for tensor in manifest.state}
    try:
        size = path.stat().st_size
        with safe_open(path, "numpy") as file:  # reads no more than the header
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, fingerprint)
            ways = _read_ways(path, metadata, manifest)
            numbers = sum(math.prod(tensor.shape_at(ways)) for tensor in manifest.state)
            if size > numbers * FLOAT32_BYTES + HEADER_ROOM:
                raise BundleError(f"{path} is too large for a state of this bundle", got=size)
            if set(file.keys()) != set(expected):
                odd = sorted(set(file.keys()) ^ set(expected))
                raise BundleError(f"{path} has missing or unknown tensors", got=", ".join(odd))
            state = {name: file.get_tensor(name) for name in expected}
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(
            f"{path} is no readable state file",
            got=reason,
            hint="write one with `edgemeta adapt` or Learner.save",
        ) from error
    for name, tensor in state.items():
        spec, shape = expected[name], expected[name].shape_at(ways)
        if tensor.shape != shape or tensor.dtype.name != spec.dtype:
            raise BundleError(
                f"{path}: {name} does not fit the bundle",
                got=f"{tensor.dtype} {tensor.shape}",
                expected=f"{spec.dtype} {shape}",
            )
        if not np.isfinite(tensor).all():
            raise BundleError(f"{path}: {name} holds values that are not finite")
    return state, ways


def _read_ways(path: Path, metadata: Mapping[str, str], manifest: Manifest) -> int | None:
    if manifest.most_ways is None:
        return None
    least = 1 if manifest.any_ways else 2  # the init of a shared head has one row
    text = metadata.get(STATE_WAYS_KEY, "")
    ways = int(text) if text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS else 0
    if not least <= ways <= manifest.most_ways:
        raise BundleError(
            f"{path} has an unusable number of ways",
            got=repr(text),
            expected=f"{least}..{manifest.most_ways}",
        )
    return ways


def _check_metadata(path: Path, metadata: Mapping[str, str], fingerprint: str) -> None:
    if metadata.get(VERSION_KEY) != str(FORMAT_VERSION):
        raise BundleError(
            f"{path} is no state file of this format",
            got=repr(metadata.get(VERSION_KEY)),
            expected=f"format_version {FORMAT_VERSION}",
        )
    if metadata.get(STATE_BUNDLE_KEY) != fingerprint:
        raise BundleError(
            f"{path} belongs to another bundle",
            got=f"bundle {metadata.get(STATE_BUNDLE_KEY, '')[:12]}",
            expected=f"bundle {fingerprint[:12]}",
            hint="adapt this bundle to the support set again",
        )
