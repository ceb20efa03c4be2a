"""Safetensors files from outside, held in memory.

The safetensors library reads the tensors; the header is read here as well, because the library
takes the last of two equal names, and gives no metadata of a file in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from edgemeta.bundle._entries import as_shape, product
from edgemeta.util.strict_json import parse_object

HEADER_ROOM = 1 << 20  # bytes of header; thousands of tensors have less
LENGTH_BYTES = 8  # of the header's length, in front of it
METADATA = "__metadata__"

Tensors = dict[str, NDArray[Any]]


def read_tensors(content: bytes) -> tuple[dict[str, str], Tensors]:
    """Read a safetensors file.

    Args:
        content: of the file; whoever calls limits its size.

    Returns:
        Its metadata, and its tensors by name.

    Raises:
        ValueError: it is damaged, has a huge header, names something twice, or has tensors of a
            type that numpy lacks, or truth values beyond 0 and 1.
    """
    size = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) < LENGTH_BYTES or size > min(HEADER_ROOM, len(content) - LENGTH_BYTES):
        raise ValueError("no header of a safetensors file")
    # The library gives no metadata of a file in memory, and takes the last of two equal names.
    header = parse_object(content[LENGTH_BYTES : LENGTH_BYTES + size])
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("metadata that are no texts")
    for name, entry in header.items():
        _check_entry(name, entry)
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    check_bools(tensors)
    return metadata, tensors


def check_bools(tensors: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError where a truth value is neither 0 nor 1, which is undefined in C++."""
    for name, tensor in tensors.items():
        if tensor.dtype == np.bool_ and (tensor.view(np.uint8) > 1).any():
            raise ValueError(f"{name} holds truth values beyond 0 and 1")


def _check_entry(name: str, entry: Any) -> None:
    """Raise ValueError where the header says of a tensor what the library lets through."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} has missing or unknown fields")
    product(as_shape(entry["shape"]))


def digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Return the sha256, in hex, of tensors and metadata, whatever their order in a file.

    Hashed are, in order of their names: of all metadata, name and value; of all tensors, name,
    numpy's name of the dtype, the sizes of the axes joined by commas, and the values, little-endian
    in C order. Every text ends with a zero byte.
    """
    found = hashlib.sha256()
    for name in sorted(metadata):
        found.update(f"{name}\0{metadata[name]}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        shape = ",".join(map(str, tensor.shape))
        found.update(f"{name}\0{tensor.dtype.name}\0{shape}\0".encode())
        found.update(np.ascontiguousarray(tensor).data)
    return found.hexdigest()
