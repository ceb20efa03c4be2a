"""A graph with a state baked in: constants that onnxruntime folds, packs and lays out once.

A state that is an input with a default is none of that. The device has no onnx package, so the
few fields that change are rewritten in the wire format of protocol buffers
(https://protobuf.dev/programming-guides/encoding/); all others are copied as they are. The field
numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle._onnx_check import NUMPY
from edgemeta.bundle._protobuf import BYTES, FIXED32, FIXED64, VARINT, ProtobufReader
from edgemeta.bundle.loading import LoadedGraph
from edgemeta.errors import BundleError

GRAPH = 7  # of a model
INITIALIZER, INPUT = 5, 11  # of a graph
INPUT_NAME = 1
DIMS, DATA_TYPE, NAME, RAW_DATA = 1, 2, 8, 9  # of a tensor

ONNX_TYPES = {name: number for number, name in NUMPY.items()}


def bake(graph: LoadedGraph, values: Mapping[str, NDArray[Any]]) -> LoadedGraph:
    """Make inputs of a graph its constants, and take in what it has outside of itself.

    Args:
        graph: as it was loaded.
        values: by name, float32 or int64; each names an input that has a default, which may have
            another shape.

    Returns:
        A graph that has all of its tensors in it.

    Raises:
        BundleError: the graph lacks one of the inputs.
    """
    try:
        content = b"".join(
            _field(GRAPH, _baked_graph(value, graph.external, values)) if number == GRAPH else raw
            for number, value, raw in _fields(memoryview(graph.content))
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{graph.path} cannot be frozen", got=error) from error
    return LoadedGraph(graph.path, content, {})


def _baked_graph(
    graph: Any, external: Mapping[str, NDArray[Any]], values: Mapping[str, NDArray[Any]]
) -> bytes:
    kept: list[bytes | memoryview] = []
    inputs, defaults = set(), set()
    for number, value, raw in _fields(graph):
        if number == INPUT:
            name = bytes(_only(value, INPUT_NAME)).decode()
            inputs.add(name)
            if name not in values:
                kept.append(raw)
        elif number == INITIALIZER:
            name = bytes(_only(value, NAME)).decode()
            defaults.add(name)
            if name in values:
                kept.append(_field(INITIALIZER, _tensor(name, values[name])))
            elif name in external:
                kept.append(_field(INITIALIZER, _tensor(name, external[name])))
            else:
                kept.append(raw)
        else:
            kept.append(raw)
    if missing := set(values) - (inputs & defaults):
        raise ValueError("no input with a default is called " + ", ".join(sorted(missing)))
    return b"".join(kept)


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    little_endian = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    return b"".join(
        (
            *(_number(DIMS, length) for length in value.shape),
            _number(DATA_TYPE, ONNX_TYPES[value.dtype.name]),
            _field(NAME, name.encode()),
            _field(RAW_DATA, little_endian.tobytes()),
        )
    )


def _only(message: Any, wanted: int) -> Any:
    """Return the value of the one field of that number."""
    (value,) = (value for number, value, _ in _fields(message) if number == wanted)
    return value


def _fields(message: Any) -> Iterator[tuple[int, Any, Any]]:
    """Yield each field of a message: its number, its value, and all of its bytes."""
    reader, at = ProtobufReader(message, 0), 0
    while at < len(message):
        begin = at
        key, at = reader.varint(at)
        number, kind = key >> 3, key & 7
        value = None
        if kind == VARINT:
            value, at = reader.varint(at)
        elif kind == BYTES:
            size, at = reader.varint(at)
            value, at = message[at : at + size], at + size
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at > len(message) or number == 0:
            raise ValueError(f"a broken field at byte {begin}")
        yield number, value, message[begin:at]


def _field(number: int, content: bytes) -> bytes:
    return _encoded(number << 3 | BYTES) + _encoded(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3 | VARINT) + _encoded(value)


def _encoded(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
