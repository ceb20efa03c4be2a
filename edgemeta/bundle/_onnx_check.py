"""What is in an ONNX file, read before onnxruntime sees it, without the onnx package.

onnxruntime opens any file that a graph names as external data: releases before 1.24 also outside
of the model's directory. So only `init.bin` may be named, and even that is handed over from
memory. What edgemeta's compiler never writes is refused: functions, other op domains, sparse or
string tensors, external data inside a Loop's body. Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle._entries import MAX_AXES, MAX_SIZE, product
from edgemeta.bundle._protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    ProtobufReader,
    message,
)
from edgemeta.bundle.manifest import INIT, Manifest
from edgemeta.util.strict_json import short

MAX_FIELDS = 300_000  # the largest of the tested models has 20,000; read in less than a second
MAX_DEPTH = 8  # graphs within graphs: the Loop over steps, the one over slices, branches
MAX_DIGITS = 11  # of an offset
EXTERNAL = 1  # data_location

MODEL = message(
    once={
        1: VARINT,  # ir_version
        **dict.fromkeys((2, 3, 4, 6), BYTES),  # producer, its version, domain, doc
        5: VARINT,  # model_version
        7: BYTES,
    },
    many={8: BYTES},
    skipped=[14],  # metadata_props
)
MODEL_GRAPH, OPSET_IMPORT = 7, 8
OPSET = message(once={1: BYTES, 2: VARINT}, many={})
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH = message(
    once={2: BYTES, 10: BYTES},  # name, doc
    many={1: BYTES, 5: BYTES},
    skipped=[11, 12, 13, 16],  # inputs, outputs, other values, metadata_props
)
NODE, INITIALIZER = 1, 5
NODES = message(
    once=dict.fromkeys((3, 4, 6, 7), BYTES),  # name, op_type, doc, domain
    many={5: BYTES},
    skipped=[1, 2, 9],  # inputs, outputs, metadata_props
)
OP_TYPE, ATTRIBUTE, DOMAIN = 4, 5, 7
ATTRIBUTES = message(
    once={
        **dict.fromkeys((1, 4, 5, 6, 13), BYTES),  # name, s, t, g, doc
        2: FIXED32,  # f
        3: VARINT,  # i
        20: VARINT,  # type
    },
    many={
        **{7: FIXED32, 8: VARINT},  # floats, ints
        **dict.fromkeys((9, 10, 11), BYTES),  # strings, tensors, graphs
    },
)
TENSORS_OF, GRAPHS_OF = (5, 10), (6, 11)
TENSOR = message(
    once={
        2: VARINT,
        **dict.fromkeys((8, 9, 12), BYTES),  # name, raw_data, doc
        14: VARINT,
    },
    many={
        **{1: VARINT, 4: FIXED32, 5: VARINT},  # dims, float_data, int32_data
        **{7: VARINT, 10: FIXED64, 11: VARINT},  # int64_data, double_data, uint64_data
        13: BYTES,
    },
    skipped=[16],  # metadata_props
)
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 1, 2, 8, 9, 13, 14
TYPED_DATA = (4, 5, 7, 10, 11)
ENTRY = message(once={1: BYTES, 2: BYTES}, many={})

NUMPY = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"},
    **{9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64"},
}
"""Numpy's names of the element types that a bundle may have."""


@dataclass(frozen=True)
class Tensor:
    """An initializer.

    Attributes:
        dtype: numpy's name of it.
        shape: its shape.
        offset: where it begins in `init.bin`; None for one that is inside the graph.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int | None

    @property
    def nbytes(self) -> int:
        """How many bytes it has."""
        return product(self.shape, np.dtype(self.dtype).itemsize)

    def inside(self, content: bytes) -> NDArray[np.generic]:
        """Return its values, a view of the content of `init.bin`."""
        return np.ndarray(self.shape, self.dtype, content, self.offset or 0)


@dataclass(frozen=True)
class Graph:
    """What an ONNX file holds.

    Attributes:
        opset: of the standard domain.
        ops: op types, those in inner graphs included.
        initializers: of the outer graph, by name.
    """

    opset: int
    ops: set[str] = field(default_factory=set)
    initializers: dict[str, Tensor] = field(default_factory=dict)

    def external(self) -> dict[str, Tensor]:
        """Return those initializers whose values are in `init.bin`."""
        return {n: tensor for n, tensor in self.initializers.items() if tensor.offset is not None}


def read_graph(content: bytes) -> Graph:
    """Read an ONNX file.

    Raises:
        ValueError: it has something that no compiler of ours writes.
    """
    reader = ProtobufReader(content, MAX_FIELDS)
    model = reader.fields(0, len(content), MODEL)
    outer = [each for each in model if each[0] == MODEL_GRAPH]
    opsets = [_opset(reader, each) for each in model if each[0] == OPSET_IMPORT]
    if len(outer) != 1 or len(opsets) != 1:
        raise ValueError(f"{len(outer)} graphs and {len(opsets)} opsets")
    graph = Graph(opsets[0])
    _read_graph(reader, outer[0], graph, MAX_DEPTH, is_outer=True)
    return graph


def check_graph(content: bytes, name: str, manifest: Manifest) -> Graph:
    """Read a graph of a bundle and check that it is the one that the manifest describes.

    Args:
        content: of the file.
        name: of the file.
        manifest: of the bundle.

    Raises:
        ValueError: it is not, or has something that no compiler of ours writes.
    """
    graph = read_graph(content)
    if graph.opset != manifest.opset:
        raise ValueError(f"opset {graph.opset}, the manifest says {manifest.opset}")
    if odd := graph.ops ^ set(manifest.ops[name]):
        raise ValueError(f"other ops than the manifest says: {short(', '.join(sorted(odd)))}")
    for spec in manifest.state:
        tensor = graph.initializers.get(spec.name)
        if tensor is None or (tensor.dtype, tensor.shape) != (spec.dtype, spec.shape):
            raise ValueError(f"state tensor {spec.name} does not fit its manifest")
    size = manifest.files[INIT].size
    for key, tensor in graph.external().items():
        if (tensor.offset or 0) + tensor.nbytes > size:
            raise ValueError(f"{short(key)} ends beyond the {size} bytes of {INIT}")
    return graph


def _opset(reader: ProtobufReader, place: Field) -> int:
    found = {each[0]: each for each in reader.fields(*place[1:], OPSET)}
    domain = reader.text(found[OPSET_DOMAIN]) if OPSET_DOMAIN in found else ""
    if domain or OPSET_VERSION not in found:
        raise ValueError(f"opset of the domain {short(repr(domain))}")
    return reader.varint(found[OPSET_VERSION][1])[0]


def _read_graph(
    reader: ProtobufReader, place: Field, graph: Graph, depth: int, *, is_outer: bool
) -> None:
    if depth == 0:
        raise ValueError(f"graphs nested deeper than {MAX_DEPTH}")
    for each in reader.fields(*place[1:], GRAPH):
        if each[0] == NODE:
            _read_node(reader, each, graph, depth)
        elif each[0] == INITIALIZER:
            name, tensor = _read_tensor(reader, each, may_be_external=is_outer)
            if is_outer:
                if not name or name in graph.initializers:
                    raise ValueError(f"an initializer without a name of its own: {short(name)!r}")
                graph.initializers[name] = tensor


def _read_node(reader: ProtobufReader, place: Field, graph: Graph, depth: int) -> None:
    op = ""
    for each in reader.fields(*place[1:], NODES):
        if each[0] == ATTRIBUTE:
            for value in reader.fields(*each[1:], ATTRIBUTES):
                if value[0] in TENSORS_OF:
                    _read_tensor(reader, value, may_be_external=False)
                elif value[0] in GRAPHS_OF:
                    _read_graph(reader, value, graph, depth - 1, is_outer=False)
        elif each[0] == OP_TYPE:
            op = reader.text(each)
        elif each[0] == DOMAIN and reader.text(each):
            raise ValueError(f"an op of the domain {short(repr(reader.text(each)))}")
    if not op:
        raise ValueError("a node without an op")
    graph.ops.add(op)


def _read_tensor(
    reader: ProtobufReader, place: Field, *, may_be_external: bool
) -> tuple[str, Tensor]:
    found = reader.fields(*place[1:], TENSOR)
    single = {each[0]: each for each in found}
    name = reader.text(single[NAME]) if NAME in single else ""
    dims = (reader.integers(each, MAX_AXES) for each in found if each[0] == DIMS)
    shape = tuple(itertools.chain.from_iterable(dims))
    if len(shape) > MAX_AXES or any(n > MAX_SIZE for n in shape):
        raise ValueError(f"{short(name)} has shape {short(shape)}")
    data_type = reader.varint(single[DATA_TYPE][1])[0] if DATA_TYPE in single else 0
    if data_type not in NUMPY:
        raise ValueError(f"{short(name)} has data type {data_type}")
    tensor = Tensor(NUMPY[data_type], shape, None)
    nbytes = tensor.nbytes  # the product of its sizes is looked at in any case
    entries = [each for each in found if each[0] == EXTERNAL_DATA]
    values = [end - start for number, start, end in found if number in TYPED_DATA]
    location = reader.varint(single[DATA_LOCATION][1])[0] if DATA_LOCATION in single else 0
    if location == EXTERNAL and may_be_external and not values and RAW_DATA not in single:
        return name, replace(tensor, offset=_offset(reader, entries, tensor, name))
    if location or entries:
        raise ValueError(f"{short(name)} has external data where there can be none")
    if RAW_DATA in single:
        _, start, end = single[RAW_DATA]
        fits = not values and end - start == nbytes
    else:  # each number takes a byte at least
        fits = math.prod(shape) <= sum(values)
    if not fits:
        raise ValueError(f"{short(name)} of shape {short(shape)} has another number of values")
    return name, tensor


def _offset(reader: ProtobufReader, entries: list[Field], tensor: Tensor, name: str) -> int:
    """Return where in `init.bin` an external tensor begins."""
    said: dict[str, str] = {}
    for entry in entries:
        pair = [reader.text(each) for each in sorted(reader.fields(*entry[1:], ENTRY))]
        if len(pair) != 2 or pair[0] in said:
            raise ValueError(f"{short(name)} has external data that is said twice, or half")
        said[pair[0]] = pair[1]
    if set(said) != {"location", "offset", "length"} or said["location"] != INIT:
        raise ValueError(f"{short(name)} has external data at {short(said)}, not in {INIT}")
    if not all(_is_size(said[key]) for key in ("offset", "length")):
        raise ValueError(f"{short(name)} has external data at {short(said)}")
    offset = int(said["offset"])
    if int(said["length"]) != tensor.nbytes or offset % np.dtype(tensor.dtype).itemsize:
        raise ValueError(f"{short(name)} of {tensor.nbytes} bytes has external data at {said}")
    return offset


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
