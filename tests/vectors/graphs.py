"""Vectors of graphs: ONNX files, byte for byte, some of which mean one thing to one reader only."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edgemeta.bundle import ADAPT, INIT, PREDICT
from tests.protobuf import varint
from tests.vectors import Vector
from tests.vectors.base import ACCEPT, BUNDLE, INIT_BIN, encoded, manifest, text

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FLOAT, UINT8, INT64, STRING, BOOL, BFLOAT16 = 1, 2, 7, 8, 9, 16
FAR = 1 << 32  # a tag and this much more: protobuf, which keeps 32 bits of a tag, sees the tag


def graphs() -> Iterator[Vector]:
    """Yield the vectors of kind "graph"."""
    for cases, verdict in ((ACCEPTED, ACCEPT), (REFUSED, BUNDLE)):
        for name, content in cases.items():
            facts = {"ops": ["Add", "Loop"]} if verdict == ACCEPT else {}
            yield _vector(name, content, verdict, facts)
    # Read as the other graph, the same file has ops that the manifest does not list.
    yield _vector("the other graph", model(), BUNDLE, {}, PREDICT)


def _vector(
    name: str, content: bytes, verdict: str, facts: dict[str, list[str]], file: str = ADAPT
) -> Vector:
    request = {"kind": "graph", "name": file, "content": text(content), "init": text(INIT_BIN)}
    return Vector(name, request | {"manifest": text(encoded(manifest()))}, verdict, facts)


def number(field: int, value: int) -> bytes:
    """Return a field that is a number."""
    return varint(field << 3 | VARINT) + varint(value)


def part(field: int, content: bytes | str, far: int = 0) -> bytes:
    """Return a field that has bytes; `far` is added to its tag."""
    content = content.encode() if isinstance(content, str) else content
    return varint((field << 3 | BYTES) + far) + varint(len(content)) + content


def entry(key: str, value: str) -> bytes:
    """Return an entry of external data."""
    return part(13, part(1, key) + part(2, value))


def placed(offset: int | str = 0, length: int | str = 24, location: str = INIT) -> bytes:
    """Return what says where a tensor is."""
    said = {"location": location, "offset": str(offset), "length": str(length)}
    return b"".join(entry(*pair) for pair in said.items()) + number(14, 1)


def tensor(
    name: str = "w",
    dims: tuple[int, ...] = (2, 3),
    data_type: int = FLOAT,
    values: bytes | None = None,
) -> bytes:
    """Return a tensor, which is in `init.bin` unless told otherwise."""
    sizes = b"".join(number(1, size) for size in dims)
    where = placed() if values is None else values
    return sizes + number(2, data_type) + part(8, name) + where


def inner(values: bytes = b"\0\0\x80?", dims: tuple[int, ...] = (1,), more: bytes = b"") -> bytes:
    """Return a tensor that has its values within."""
    return tensor("one", dims, values=part(9, values) + more)


def node(op: str = "Add", more: bytes = b"") -> bytes:
    """Return a node."""
    return part(1, "w") + part(1, "w") + part(2, "y") + part(3, "node") + part(4, op) + more


def loop(body: bytes, more: bytes = b"") -> bytes:
    """Return a node with a graph within."""
    attribute = part(1, "body") + part(6, body) + number(20, 5) + more
    return node("Loop", part(5, attribute))


def graph(*nodes: bytes, tensors: tuple[bytes, ...] = (), more: bytes = b"") -> bytes:
    """Return a graph."""
    made = b"".join(part(1, each) for each in nodes) + part(2, "graph")
    return made + b"".join(part(5, each) for each in tensors) + part(11, part(1, "x")) + more


BODY = graph(node(), tensors=(inner(),))


def model(
    outer: bytes | None = None,
    *,
    weights: bytes | None = None,
    nodes: tuple[bytes, ...] | None = None,
    body: bytes = BODY,
    more: bytes = b"",
    opset: bytes | None = None,
) -> bytes:
    """Return an ONNX file, some part of which may be odd."""
    weights = tensor() if weights is None else weights
    nodes = (loop(body),) if nodes is None else nodes
    outer = graph(*nodes, tensors=(weights,)) if outer is None else outer
    opset = part(8, number(2, 20)) if opset is None else opset
    return number(1, 10) + part(2, "edgemeta") + part(7, outer) + opset + more


def deep(depth: int) -> bytes:
    """Return a graph with so many graphs within each other."""
    made = BODY
    for _ in range(depth - 1):
        made = graph(loop(made))
    return made


def attributed(attribute: bytes) -> bytes:
    """Return an ONNX file with an attribute of a node."""
    return model(nodes=(loop(BODY), node("Add", part(5, attribute))))


def weighed(values: bytes, dims: tuple[int, ...] = (2, 3), data_type: int = FLOAT) -> bytes:
    """Return an ONNX file whose state tensor has these values."""
    return model(weights=tensor("w", dims, data_type, values))


def beside(other: bytes) -> bytes:
    """Return an ONNX file with an initializer beside the state tensor."""
    return model(graph(loop(BODY), tensors=(tensor(), other)))


_FLOATS = struct.pack("<6f", *range(6))
_NO_PLACE = number(14, 0)

ACCEPTED = {
    "as it is": model(),
    "values within": weighed(part(9, _FLOATS)),
    "values within, as floats": weighed(part(4, _FLOATS)),
    "values within, one by one": weighed(
        b"".join(varint(4 << 3 | FIXED32) + _FLOATS[k : k + 4] for k in range(0, 24, 4))
    ),
    "sizes that are packed": model(
        weights=part(1, b"\2\3") + number(2, FLOAT) + part(8, "w") + placed()
    ),
    "truth values": beside(tensor("b", (2,), BOOL, placed(24, 2))),
    "a scalar": beside(inner(dims=())),
    "no values": beside(inner(b"", (0, 2**31 - 1))),
    "graphs as deep as can be": model(body=deep(7)),
    "names of places": model(more=part(14, part(1, "a") + part(2, "b"))),
    "an empty domain": model(nodes=(loop(BODY), node("Add", part(7, "")))),
    "attributes of all sorts": attributed(
        part(1, "a") + varint(2 << 3 | FIXED32) + b"\0" * 4 + number(3, 2**64 - 1) + part(4, "s")
        + part(5, inner()) + part(7, b"\0" * 8) + number(8, 1) + part(8, b"\1\2") + part(9, "t")
        + part(10, inner()) + part(11, BODY) + part(13, "doc") + number(20, 1)
    ),
    "a tensor's place said in another order": weighed(
        entry("length", "24") + number(14, 1) + entry("offset", "0") + entry("location", INIT)
    ),
}  # fmt: skip

REFUSED = {
    "nothing": b"",
    "cut short": model()[:-1],
    "a byte more": model() + b"\0",
    "no graph": number(1, 10) + part(8, number(2, 20)),
    "two graphs": model(more=part(7, graph(node()))),
    "no opset": model(opset=b""),
    "two opsets": model(more=part(8, number(2, 20))),
    "another opset": model(opset=part(8, number(2, 21))),
    "an opset of another domain": model(opset=part(8, part(1, "com.microsoft") + number(2, 20))),
    "an opset without a version": model(opset=part(8, b"")),
    "the producer twice": model(more=part(2, "x")),
    "training": model(more=part(20, b"")),
    "a function": model(more=part(25, part(1, "f"))),
    "a device": model(more=part(26, b"")),
    "an unknown field": model(more=number(100, 1)),
    "field 0": model(more=b"\0\0"),
    "a group": model(more=varint(100 << 3 | 3) + varint(100 << 3 | 4)),
    "a group that only ends": model(more=varint(7 << 3 | 4)),
    "a graph that is a number": model(more=number(7, 1)),
    # A tag of more than 32 bits, which protobuf cuts off.
    "a function, far": model(more=part(25, part(1, "f"), FAR)),
    "a graph, far": model(more=part(7, graph(node("Evil")), FAR)),
    "an opset, far": model(more=part(8, part(1, "evil"), FAR)),
    "a node, far": model(graph(loop(BODY), tensors=(tensor(),), more=part(1, node("Evil"), FAR))),
    "an op type, far": model(nodes=(loop(BODY), node("Add", part(4, "Evil", FAR)))),
    "a domain, far": model(nodes=(loop(BODY), node("Add", part(7, "evil", FAR)))),
    "external data, far": beside(
        inner(more=part(13, part(1, "location") + part(2, "/etc/passwd"), FAR) + number(14, 1))
    ),
    "external data, far, alone": beside(
        tensor("b", (1,), values=part(13, part(1, "location") + part(2, "/etc/passwd"), FAR))
    ),
    "a place, far": beside(inner(more=varint((14 << 3) + FAR) + varint(1))),
    "an entry's value, far": weighed(
        part(13, part(1, "location") + part(2, INIT) + part(2, "/etc/passwd", FAR))
        + entry("offset", "0") + entry("length", "24") + number(14, 1)
    ),
    "a graph within, far": model(
        nodes=(loop(BODY), node("Add", part(5, part(1, "b") + part(6, graph(node("Evil")), FAR))))
    ),
    "a tag of 64 bits": model(more=varint((25 << 3 | BYTES) + (1 << 63)) + b"\0"),
    "a tag of 70 bits": model(more=varint((25 << 3 | BYTES) + (1 << 65)) + b"\0"),
    "a tag that is longer than it has to be": model(more=varint(14 << 3 | BYTES, 1) + b"\0"),
    "a size that is longer than it has to be": model(more=varint(14 << 3 | BYTES) + varint(0, 2)),
    "a size beyond the end": model(more=varint(14 << 3 | BYTES) + varint(1)),
    "a size of 64 bits": model(more=varint(14 << 3 | BYTES) + varint(2**64 - 1)),
    "a size of 2^32": model(more=varint(14 << 3 | BYTES) + varint(2**32)),
    "a number that is longer than it has to be": model(more=varint(5 << 3) + varint(1, 1)),
    "a number of 70 bits": model(more=varint(5 << 3) + varint(2**65)),
    "another op": model(nodes=(loop(BODY), node("Mul"))),
    "an op less": model(nodes=(node(),)),
    "another op within": model(body=graph(node("Mul"))),
    "an op of another domain": model(nodes=(loop(BODY), node("Add", part(7, "com.microsoft")))),
    "an op of another domain within": model(body=graph(node("Add", part(7, "com.microsoft")))),
    "an op of two types": model(nodes=(loop(BODY), node("Add", part(4, "Add")))),
    "a node without an op": model(nodes=(loop(BODY), part(2, "y"))),
    "an op that is no UTF-8": model(nodes=(loop(BODY), node() + b"", part(4, b"\xff"))),
    "an overload": model(nodes=(loop(BODY), node("Add", part(8, "o")))),
    "a device of a node": model(nodes=(loop(BODY), node("Add", part(10, b"")))),
    "graphs too deep": model(body=deep(8)),
    "a sparse tensor": model(graph(loop(BODY), tensors=(tensor(),), more=part(15, b""))),
    "quantization": model(graph(loop(BODY), tensors=(tensor(),), more=part(14, b""))),
    "a sparse attribute": attributed(part(1, "a") + part(22, b"")),
    "sparse attributes": attributed(part(1, "a") + part(23, b"")),
    "a type": attributed(part(1, "a") + part(14, b"")),
    "a reference": attributed(part(1, "a") + part(21, "b")),
    "a graph twice in one attribute": attributed(part(1, "a") + part(6, BODY) + part(6, BODY)),
    "a tensor twice in one attribute": attributed(part(1, "a") + part(5, inner()) * 2),
    "floats cut short": attributed(part(1, "a") + varint(2 << 3 | FIXED32) + b"\0\0"),
    "another file": weighed(placed(location="/etc/passwd")),
    "a folder up": weighed(placed(location="../init.bin")),
    "the file in another way": weighed(placed(location="./init.bin")),
    "no file": weighed(placed(location="")),
    "a place said twice": weighed(placed() + entry("offset", "0")),
    "a place said half": weighed(entry("location", INIT) + number(14, 1)),
    "a place with more": weighed(placed() + entry("checksum", "0")),
    "an entry with a value twice": weighed(
        part(13, part(1, "location") + part(2, INIT) + part(2, INIT))
        + entry("offset", "0") + entry("length", "24") + number(14, 1)
    ),
    "an entry without a value": weighed(placed() + part(13, part(1, "x"))),
    "an entry the other way round": weighed(
        part(13, part(2, "location") + part(1, INIT))
        + entry("offset", "0") + entry("length", "24") + number(14, 1)
    ),
    "an offset beyond the end": weighed(placed(4)),
    "an offset far beyond the end": weighed(placed(99_999_999_999)),
    "an offset of 64 bits": weighed(placed(str(2**64))),
    "a negative offset": weighed(placed("-4")),
    "an offset in other digits": weighed(placed("\u0660")),
    "an offset with a space": weighed(placed(" 0")),
    "an offset with a point": weighed(placed("0.0")),
    "an offset in hexadecimal": weighed(placed("0x0")),
    "an empty offset": weighed(placed("")),
    "an offset that is not aligned": beside(tensor("b", (1,), FLOAT, placed(2, 4))),
    "a length that is too short": weighed(placed(0, 20)),
    "a length that is too long": weighed(placed(0, 26)),
    "external, and values within": weighed(placed() + part(9, _FLOATS)),
    "external, and floats within": weighed(placed() + part(4, _FLOATS)),
    "a place, but not external": weighed(entry("location", INIT) + part(9, _FLOATS)),
    "another location": weighed(placed()[:-2] + number(14, 2)),
    "external within a loop": model(body=graph(node(), tensors=(tensor(),))),
    "external in an attribute": attributed(part(1, "a") + part(5, tensor())),
    "external in a list of an attribute": attributed(part(1, "a") + part(10, tensor())),
    "truth values of 2": beside(tensor("b", (2,), BOOL, placed(22, 2))),
    "texts": beside(tensor("b", (1,), STRING, part(6, "x"))),
    "a segment": beside(inner(more=part(3, number(1, 0)))),
    "another type": beside(tensor("b", (1,), BFLOAT16, part(9, b"\0\0"))),
    "no type": beside(number(1, 1) + part(8, "b") + part(9, b"\0" * 4)),
    "a type of 33 bits": beside(
        number(1, 1) + number(2, FAR + 1) + part(8, "b") + part(9, b"\0" * 4)
    ),
    "too few values": beside(inner(b"\0\0")),
    "too many values": beside(inner(b"\0" * 8)),
    "no values, where there should be": beside(tensor("b", (1,), values=b"")),
    "values twice": beside(inner(more=part(9, b"\0" * 4))),
    "values in two ways": beside(inner(more=part(4, b"\0" * 4))),
    "a huge axis": beside(inner(b"", (0, 2**31))),
    "an axis of 64 bits": beside(inner(b"", (2**64 - 1, 0))),
    "no values, with huge other axes": beside(inner(b"", (2**27, 0, 2**27))),
    "a size that is 0 in 32 bits": beside(inner(b"", (2**16, 2**16))),
    "a size that is 0 in 64 bits": beside(inner(b"", (2**30, 2**30, 16))),
    "a size that is 24 in 64 bits": weighed(placed(), (2**31 - 1,) * 8),
    "17 axes": beside(inner(dims=(1,) * 17)),
    "packed sizes cut short": number(1, 10) + part(8, number(2, 20)) + part(
        7, graph(loop(BODY), tensors=(tensor(), number(2, FLOAT) + part(8, "b") + part(1, b"\x80")))
    ),
    "packed sizes cut short at the end": number(1, 10) + part(8, number(2, 20)) + part(
        7, graph(loop(BODY))[:-5] + part(5, tensor()) + part(5, number(2, FLOAT) + part(1, b"\x80"))
    ),
    "an initializer without a name": beside(tensor("", (1,), values=part(9, b"\0" * 4))),
    "an initializer twice": beside(tensor()),
    "no state tensor": model(weights=tensor("v")),
    "a state tensor of another shape": weighed(placed(), (3, 2)),
    "a state tensor of another type": weighed(placed(0, 24), (3,), INT64),
    "a name that is no UTF-8": beside(
        number(1, 1) + number(2, FLOAT) + part(8, b"\xff") + part(9, b"\0" * 4)
    ),
}  # fmt: skip
