"""State files: an adapted state on disk, bound to its bundle. No pickle anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from edgemeta.bundle._entries import DTYPES
from edgemeta.bundle._tensor_file import HEADER_ROOM, digest, read_tensors
from edgemeta.bundle.manifest import (
    EXTRA_PREFIX,
    FORMAT_VERSION,
    STATE_BUNDLE_KEY,
    STATE_DIGEST_KEY,
    STATE_LABELS_KEY,
    STATE_NOTES_KEY,
    STATE_WAYS_KEY,
    Manifest,
)
from edgemeta.errors import BundleError, InputError, did_you_mean
from edgemeta.util.files import read_regular, write_atomically
from edgemeta.util.strict_json import MAX_INTEGER, is_plain, parse_list, short

VERSION_KEY = "edgemeta.format_version"
MOST_DIGITS = 10
LABELS_ROOM = HEADER_ROOM // 4  # bytes of JSON: quotes and backslashes are doubled in there
MOST_SHOWN = 20  # classes that an error names
MOST_KEPT = 65_536  # samples beside a state: far beyond few-shot use


Label = str | int | float
"""What a class may be called in a state file."""


@dataclass(frozen=True)
class StateFile:
    """What a state file holds.

    Attributes:
        tensors: of the state, by torch name.
        ways: how many classes its task has; None for regression.
        extra: tensors beside the state, by names that `bundle.extra_name` made; not checked but
            for the file's hash.
        notes: text beside the state; None without.
        labels: what the first classes, or all, are called, by class index; None without names.
    """

    tensors: dict[str, NDArray[Any]]
    ways: int | None
    extra: dict[str, NDArray[Any]]
    notes: str | None
    labels: tuple[Label, ...] | None


def write_state(
    path: Path,
    state: Mapping[str, NDArray[Any]],
    fingerprint: str,
    ways: int | None,
    extra: Mapping[str, NDArray[Any]] | None = None,
    notes: str | None = None,
    labels: Sequence[Label] | None = None,
) -> None:
    """Write a state file, whole or not at all.

    Args:
        path: the `.safetensors` file.
        state: every tensor of the state, by torch name.
        fingerprint: of the bundle.
        ways: how many classes the task has; None for regression.
        extra: tensors beside the state, by names that `bundle.extra_name` made.
        notes: text beside the state.
        labels: what the first classes, or all of them, are called, by class index; None if they
            have no names.

    Raises:
        EdgemetaError: the file cannot be written.
        InputError: the labels cannot be read back: too long, of another type, or one twice.
    """
    metadata = {STATE_BUNDLE_KEY: fingerprint, VERSION_KEY: str(FORMAT_VERSION)}
    if ways is not None:
        metadata[STATE_WAYS_KEY] = str(ways)
    if notes is not None:
        metadata[STATE_NOTES_KEY] = notes
    if labels is not None:
        metadata[STATE_LABELS_KEY] = labels_text(labels)
    every = {**state, **(extra or {})}
    # Not ascontiguousarray, which makes vectors of scalars.
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in every.items()}
    metadata[STATE_DIGEST_KEY] = digest(tensors, metadata)
    write_atomically(path, save(tensors, metadata))


def read_state(path: Path, manifest: Manifest, fingerprint: str) -> StateFile:
    """Read a state file and check that it is one of this bundle.

    Raises:
        BundleError: missing, damaged, of another bundle, or with other tensors.
    """
    return parse_state(_read(path, _most_bytes(manifest)), path, manifest, fingerprint)


def parse_state(content: bytes, path: Path, manifest: Manifest, fingerprint: str) -> StateFile:
    """Check the content of a state file; `path` is for errors.

    Raises:
        BundleError: damaged, of another bundle, or with other tensors.
    """
    try:
        metadata, found = read_tensors(content)
    except ValueError as error:
        raise _unreadable(path, error) from error
    _check_metadata(path, metadata, fingerprint)
    ways = _read_ways(path, metadata, manifest)
    extra = {name: tensor for name, tensor in found.items() if name.startswith(EXTRA_PREFIX)}
    tensors = {name: tensor for name, tensor in found.items() if name not in extra}
    expected = {tensor.name: tensor for tensor in manifest.state}
    if odd := sorted(set(tensors) ^ set(expected)):
        raise BundleError(f"{path} has missing or unknown tensors", got=short(", ".join(odd)))
    for name, spec in expected.items():
        tensor, shape = tensors[name], spec.shape_at(ways)
        if tensor.shape != shape or tensor.dtype.name != spec.dtype:
            raise BundleError(
                f"{path}: {short(name)} does not fit the bundle",
                got=f"{tensor.dtype} {tensor.shape}",
                expected=f"{spec.dtype} {shape}",
            )
        if not np.isfinite(tensor).all():
            raise BundleError(f"{path}: {short(name)} holds values that are not finite")
    said = metadata.pop(STATE_DIGEST_KEY, None)
    if said != digest(found, metadata):
        raise BundleError(
            f"{path} is damaged", got="other values than were saved", hint="copy it again"
        )
    labels = _read_labels(path, metadata.get(STATE_LABELS_KEY))
    return StateFile(tensors, ways, extra, metadata.get(STATE_NOTES_KEY), labels)


def _most_bytes(manifest: Manifest) -> int:
    """Return how large a state file of a bundle can be, with a support set kept beside it."""
    shapes = [(spec.shape_at(manifest.most_ways), spec.dtype) for spec in manifest.state]
    sample = (manifest.input, manifest.target)
    shapes += [((MOST_KEPT, *spec.shape), spec.dtype) for spec in sample]
    return sum(math.prod(shape) * DTYPES[dtype] for shape, dtype in shapes) + 2 * HEADER_ROOM


def _read(path: Path, most: int) -> bytes:
    """Return the content of a file that has at most `most` bytes."""
    try:
        content = read_regular(path, most, follow=True)
    except OSError as error:
        raise _unreadable(path, error.strerror or error) from error
    if content is None:
        raise BundleError(
            f"{path} is too large for a state of this bundle", expected=f"at most {most} bytes"
        )
    return content


def _unreadable(path: Path, reason: object) -> BundleError:
    return BundleError(
        f"{path} is no readable state file",
        got=short(reason),
        hint="write one with `edgemeta adapt` or Learner.save",
    )


def is_label(value: object) -> TypeGuard[Label]:
    """Whether a state file may call a class so, and every language reads it as the same.

    Example:
        >>> [is_label(value) for value in ("alef", 3, 2.5, 2**53, float("nan"), True, chr(27))]
        [True, True, True, False, False, False, False]
    """
    if isinstance(value, str):
        return is_plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= MAX_INTEGER  # all floats beyond are whole


def labels_text(labels: Sequence[Label]) -> str:
    """Return labels as a state file has them.

    Raises:
        InputError: they could not be read back.
    """
    try:
        _check_labels(labels)
        text = json.dumps(list(labels))
        if len(text) > LABELS_ROOM:
            raise ValueError(f"{len(text)} bytes of JSON, more than {LABELS_ROOM}")
    except ValueError as error:
        raise InputError(
            "the labels cannot be saved",
            got=short(error),
            expected="for each class another text, or finite number (whole ones below 2^53)",
        ) from error
    return text


def check_known(labels: Iterable[Hashable], known: Sequence[Hashable]) -> None:
    """Check that labels are among those of a bundle whose classes have names.

    Raises:
        InputError: one is not.
    """
    names = set(known)
    for label in labels:
        if label not in names:
            shown = ", ".join(map(str, known[:MOST_SHOWN])) + ", ..." * (len(known) > MOST_SHOWN)
            raise InputError(
                "the bundle has no such class",
                got=short(repr(label)),
                expected=f"one of {shown}",
                hint=did_you_mean(str(label), map(str, known)),
            )


def _check_labels(labels: Sequence[Label]) -> None:
    """Raise ValueError where labels are none that a state file may have."""
    for label in labels:
        if not is_label(label):
            raise ValueError(f"{label!r}, a {type(label).__name__}")
    if len(set(labels)) != len(labels):
        twice = next(label for k, label in enumerate(labels) if label in labels[:k])
        raise ValueError(f"{twice!r} twice")


def _read_labels(path: Path, text: str | None) -> tuple[Label, ...] | None:
    if text is None:
        return None
    try:
        content = text.encode()
        if len(content) > LABELS_ROOM:
            raise ValueError(f"{len(content)} bytes, more than {LABELS_ROOM}")
        labels = parse_list(content)
        _check_labels(labels)
    except ValueError as error:
        raise BundleError(
            f"{path} has no readable labels", got=short(error), hint="adapt again"
        ) from error
    return tuple(labels)


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
