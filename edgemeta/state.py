"""State files: an adapted state on disk, bound to its bundle. No pickle anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from edgemeta.bundle import (
    DTYPES,
    FORMAT_VERSION,
    STATE_BUNDLE_KEY,
    STATE_DIGEST_KEY,
    STATE_WAYS_KEY,
    Manifest,
)
from edgemeta.errors import BundleError
from edgemeta.files import read_regular, write_atomically
from edgemeta.strict import short
from edgemeta.tensor_file import HEADER_ROOM, digest, read_tensors

VERSION_KEY = "edgemeta.format_version"
MOST_DIGITS = 10


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
    metadata[STATE_DIGEST_KEY] = digest(tensors, metadata)
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
    metadata, tensors = _read(path, _most_bytes(manifest))
    _check_metadata(path, metadata, fingerprint)
    ways = _read_ways(path, metadata, manifest)
    expected = {tensor.name: tensor for tensor in manifest.state}
    if odd := sorted(set(tensors) ^ set(expected)):
        raise BundleError(f"{path} has missing or unknown tensors", got=short(", ".join(odd)))
    for name, spec in expected.items():
        tensor, shape = tensors[name], spec.shape_at(ways)
        if tensor.shape != shape or tensor.dtype.name != spec.dtype:
            raise BundleError(
                f"{path}: {name} does not fit the bundle",
                got=f"{tensor.dtype} {tensor.shape}",
                expected=f"{spec.dtype} {shape}",
            )
        if not np.isfinite(tensor).all():
            raise BundleError(f"{path}: {name} holds values that are not finite")
    said = metadata.pop(STATE_DIGEST_KEY, None)
    if said != digest(tensors, metadata):
        raise BundleError(
            f"{path} is damaged", got="other values than were saved", hint="copy it again"
        )
    return tensors, ways


def _most_bytes(manifest: Manifest) -> int:
    """Return how large a state file of a bundle can be."""
    shapes = ((spec.shape_at(manifest.most_ways), spec.dtype) for spec in manifest.state)
    return sum(math.prod(shape) * DTYPES[dtype] for shape, dtype in shapes) + HEADER_ROOM


def _read(path: Path, most: int) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return the metadata and the tensors of a state file that has at most `most` bytes."""
    try:
        content = read_regular(path, most, follow=True)
        if content is None:
            raise BundleError(
                f"{path} is too large for a state of this bundle", expected=f"at most {most} bytes"
            )
        return read_tensors(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"{path} is no readable state file",
            got=short(reason),
            hint="write one with `edgemeta adapt` or Learner.save",
        ) from error


def _read_ways(path: Path, metadata: Mapping[str, str], manifest: Manifest) -> int | None:
    if manifest.most_ways is None:
        return None
    least = 1 if manifest.any_ways else 2  # the init of a shared head has one row
    text = metadata.get(STATE_WAYS_KEY, "")
    ways = int(text) if text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS else 0
    if not least <= ways <= manifest.most_ways:
        raise BundleError(
            f"{path} has an unusable number of ways",
            got=short(repr(text)),
            expected=f"{least}..{manifest.most_ways}",
        )
    return ways


def _check_metadata(path: Path, metadata: Mapping[str, str], fingerprint: str) -> None:
    if metadata.get(VERSION_KEY) != str(FORMAT_VERSION):
        raise BundleError(
            f"{path} is no state file of this format",
            got=short(repr(metadata.get(VERSION_KEY))),
            expected=f"format_version {FORMAT_VERSION}",
        )
    if metadata.get(STATE_BUNDLE_KEY) != fingerprint:
        raise BundleError(
            f"{path} belongs to another bundle",
            got=f"bundle {short(metadata.get(STATE_BUNDLE_KEY, ''))[:12]}",
            expected=f"bundle {fingerprint[:12]}",
            hint="adapt this bundle to the support set again",
        )
