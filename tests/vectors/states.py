"""Vectors of state files, and of the digest that they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import MAX_WAYS
from edgemeta.bundle._tensor_file import HEADER_ROOM, digest
from edgemeta.bundle.state import LABELS_ROOM
from tests.vectors import Vector
from tests.vectors.base import ACCEPT, BUNDLE, encoded, manifest, regression, shared, text

Tensors = Mapping[str, NDArray[Any]]

PLAIN = encoded(manifest())
SHARED = encoded(shared())
REGRESSION = encoded(regression())
W = np.arange(6, dtype=np.float32).reshape(2, 3)
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)
NAMES = {"float32": "F32", "float64": "F64", "uint8": "U8", "int64": "I64", "bool": "BOOL"}


def states() -> Iterator[Vector]:
    """Yield the vectors of kind "state"."""
    for name, (bundle, content, ways, labels, tensors) in accepted().items():
        hashes = {
            key: hashlib.sha256(value.tobytes()).hexdigest() for key, value in tensors.items()
        }
        facts = {"ways": ways, "labels": labels, "tensors": hashes}
        yield _vector(name, bundle, content, ACCEPT, facts)
    for name, content in refused().items():
        yield _vector(name, PLAIN, content, BUNDLE, {})
    for name, (bundle, content) in refused_elsewhere().items():
        yield _vector(name, bundle, content, BUNDLE, {})


def digests() -> Iterator[Vector]:
    """Yield the vectors of kind "digest"."""
    names = {"b": W, "a": W[0], "\U0001f600": W[1], "\uffff": W[:, 1], "": W[:1]}
    odd: Tensors = {"scalar": np.float32(3) * np.ones(()), "none": np.zeros((0, 2), np.uint8)}
    cases: tuple[tuple[str, Tensors, Mapping[str, str]], ...] = (
        ("nothing", {}, {}),
        ("one tensor", {"w": W}, {}),
        ("names in the order of code points", names, {"z": "", "ä": "x\ty", "\U0001f600": "1"}),
        ("a scalar, and no numbers", odd, {"a": "b"}),
        ("several types", {"i": np.arange(3), "b": W > 2, "u": np.zeros(2, np.uint8)}, {}),
    )
    for name, tensors, metadata in cases:
        request = {"kind": "digest", "content": text(written(tensors, metadata))}
        yield Vector(name, request, ACCEPT, {"digest": digest(tensors, metadata)})


def _vector(
    name: str, bundle: bytes, content: bytes, verdict: str, facts: Mapping[str, Any]
) -> Vector:
    request = {"kind": "state", "manifest": text(bundle), "content": text(content)}
    return Vector(name, request, verdict, facts)


def header_of(tensors: Tensors, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the header of a safetensors file."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": NAMES[tensor.dtype.name], "shape": list(tensor.shape)}
        header[name]["data_offsets"] = [begin, end]
    return header


def packed(header: object, values: bytes) -> bytes:
    """Return a safetensors file with some header, which may be text."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    content += b" " * (-len(content) % 8)
    return len(content).to_bytes(8, "little") + content + values


def written(tensors: Tensors, metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file."""
    values = b"".join(np.ascontiguousarray(tensor).tobytes() for tensor in tensors.values())
    return packed(header_of(tensors, metadata), values)


def metadata_of(bundle: bytes, **changes: str | None) -> dict[str, str]:
    """Return the metadata of a state file, but for its digest."""
    fingerprint = hashlib.sha256(bundle).hexdigest()
    plain = {"format_version": "1", "bundle": fingerprint, "ways": "2"} | changes
    return {f"edgemeta.{key}": value for key, value in plain.items() if value is not None}


def sealed(tensors: Tensors | None = None, bundle: bytes = PLAIN, **changes: str | None) -> bytes:
    """Return a state file whose digest is right, whatever else it holds."""
    tensors = {"w": W} if tensors is None else tensors
    metadata = metadata_of(bundle, **changes)
    return written(tensors, metadata | {"edgemeta.sha256": digest(tensors, metadata)})


def labelled(text_of_labels: str) -> bytes:
    """Return a state file with labels."""
    return sealed(labels=text_of_labels)


def accepted() -> dict[str, tuple[bytes, bytes, int | None, list[Any] | None, Tensors]]:
    """Return state files: of which bundle, and what is in them."""
    w = {"w": W}
    beside = w | {"edgemeta.support_x": W[:1], "edgemeta.lead": W[0]}
    many = json.dumps(["x" * (LABELS_ROOM - 4)])
    cases: dict[str, tuple[bytes, bytes, int | None, list[Any] | None, Tensors]] = {
        "as it is": (PLAIN, sealed(), 2, None, w),
        "of a shared head": (SHARED, sealed({"w": ROWS}, SHARED, ways="4"), 4, None, {"w": ROWS}),
        "of the init of a shared head": (
            *(SHARED, sealed({"w": ROWS[:1]}, SHARED, ways="1"), 1, None, {"w": ROWS[:1]}),
        ),
        "of a regression": (*(REGRESSION, sealed(bundle=REGRESSION, ways=None), None, None, w),),
        "with tensors beside": (PLAIN, sealed(beside), 2, None, w),
        "with truth values beside": (PLAIN, sealed(w | {"edgemeta.x": W > 2}), 2, None, w),
        "with notes": (PLAIN, sealed(estimator="{}"), 2, None, w),
        "with other metadata": (PLAIN, sealed(other="\t\n"), 2, None, w),
        "ways with zeros in front": (PLAIN, sealed(ways="000000002"), 2, None, w),
        "the longest label": (PLAIN, labelled(many), 2, json.loads(many), w),
    }
    for name, labels in LABELS.items():
        cases[name] = (PLAIN, labelled(labels), 2, json.loads(labels), w)
    return cases


LABELS = {
    "labels that are texts": '["alef", "\\u0628"]',
    "labels that are texts beyond ASCII": '["\u0628", "\U0001f600"]',
    "labels that are numbers": "[1, 2.5]",
    "labels that are large numbers": "[9007199254740991, -9007199254740991]",
    "labels that are small numbers": "[1e-300, 0]",
    "labels of both sorts": '["1", 1]',
    "one label": '["only"]',
    "an empty text": '["", "a"]',
    "labels with a line": '["a\\nb", "a\\tb"]',
}

ODD_LABELS = {
    "labels that are no list": '{"a": 1}',
    "labels that are no JSON": "[",
    "labels of null": "[null, 1]",
    "labels true": "[true, 2]",
    "labels of lists": "[[1], [2]]",
    "a label twice": '["a", "a"]',
    "a label twice, once escaped": '["a", "\\u0061"]',
    "a number twice, once with a point": "[1, 1.0]",
    "zero twice": "[0, -0.0]",
    "a label of 54 bits": "[9007199254740992]",
    "a label of 1e300": "[1e300]",
    "a label of 1e999": "[1e999]",
    "a label that is not a number": "[NaN]",
    "a label of half a surrogate pair": '["\\ud800"]',
    "a label with an escape sequence": '["\\u001b[2J"]',
    "labels with something behind": "[1] x",
    "labels that are too long": json.dumps(["x" * (LABELS_ROOM - 3)]),
    "labels that are too long in bytes": json.dumps(["ä" * (LABELS_ROOM // 2)], ensure_ascii=False),
    "labels that nest too deeply": "[" * 5_000,
}


def refused_elsewhere() -> dict[str, tuple[bytes, bytes]]:
    """Return files that other bundles refuse."""
    return {
        "of another bundle": (SHARED, sealed({"w": ROWS}, PLAIN, ways="4")),
        "too many rows": (SHARED, sealed({"w": ROWS}, SHARED, ways="3")),
        "no rows": (SHARED, sealed({"w": ROWS[:0]}, SHARED, ways="0")),
        "more ways than can be": (SHARED, sealed({"w": ROWS}, SHARED, ways=str(MAX_WAYS + 1))),
    }


def refused() -> dict[str, bytes]:
    """Return files that no bundle takes."""
    w, plain = {"w": W}, sealed()
    # With the digest of what it should hold, so that nothing but the header is wrong.
    metadata = metadata_of(PLAIN)
    header = header_of(w, metadata | {"edgemeta.sha256": digest(w, metadata)})
    values = W.tobytes()
    place = header["w"]

    def headed(**changes: Any) -> bytes:
        return packed(header | {"w": place | changes}, values)

    def bare(raw: bytes) -> bytes:
        return packed(raw, b"")

    return {
        "nothing": b"",
        "7 bytes": b"\0" * 7,
        "an empty header": b"\0" * 8,
        "a header of 2^63 bytes": b"\0" * 7 + b"\x80" + b"{}",
        "a header of 2^32 bytes": b"\0\0\0\0\1\0\0\0{}",
        "a header beyond the end": b"\3\0\0\0\0\0\0\0{}",
        "a header that is too large": packed(b" " * HEADER_ROOM + b"{}", b""),
        "a header that is a list": bare(b"[]"),
        "a header with a byte order mark": bare(b"\xef\xbb\xbf{}"),
        "a header with a key twice": bare(b'{"__metadata__": {"a": "1", "a": "1"}}'),
        "metadata that are numbers": bare(b'{"__metadata__": {"a": 1}}'),
        "metadata that are null": bare(b'{"__metadata__": null}'),
        "a tensor that is null": bare(b'{"w": null}'),
        "cut short": plain[:-1],
        "a byte more": plain + b"\0",
        "a bit flipped in the values": plain[:-1] + bytes([plain[-1] ^ 1]),
        "the header as it should be, but ways of another type": packed(
            header | {"__metadata__": header["__metadata__"] | {"edgemeta.ways": 2}}, values
        ),
        "another digest": written(w, metadata_of(PLAIN, sha256="0" * 64)),
        "no digest": written(w, metadata_of(PLAIN)),
        "another version": sealed(format_version="2"),
        "no version": sealed(format_version=None),
        "of some other bundle": sealed(bundle=b"another"),
        "no ways": sealed(ways=None),
        **{
            f"ways of {ways!r}": sealed(ways=ways)
            for ways in ("", "1", "0", "-2", "+2", "2.0", " 2", "2\n", "\u0662", "0" * 9 + "2")
        },
        "no tensor": sealed({}),
        "a tensor more": sealed(w | {"v": W}),
        "another name": sealed({"v": W}),
        "another shape": sealed({"w": W.T.copy()}),
        "another type": sealed({"w": W.astype(np.float64)}),
        "not finite": sealed({"w": np.where(W == 3, np.nan, W).astype(np.float32)}),
        "infinite": sealed({"w": np.where(W == 3, -np.inf, W).astype(np.float32)}),
        "a tensor beside with 17 axes": sealed(w | {"edgemeta.x": np.zeros((1,) * 17, np.uint8)}),
        "a tensor beside with a huge axis": sealed(
            w | {"edgemeta.x": np.zeros((2**31, 0), np.uint8)}
        ),
        "a tensor of nothing beside with huge other axes": sealed(
            w | {"edgemeta.x": np.zeros((2**27, 0, 2**27), np.uint8)}
        ),
        "truth values of 2 beside": sealed(
            w | {"edgemeta.x": np.array([1, 2], np.uint8).view(np.bool_)}
        ),
        "an unknown type": headed(dtype="F128"),
        "a type of Python's name": headed(dtype="float32"),
        "a type that is a number": headed(dtype=1),
        "a field more": headed(more=1),
        "a shape with a point": packed(
            json.dumps(header | {"w": place}).replace("[2, 3]", "[2.0, 3]").encode(), values
        ),
        "a negative shape": headed(shape=[-2, -3]),
        "a shape that is 24 bytes in 32 bits": headed(shape=[2**30 + 6]),
        "a shape that is 24 bytes in 64 bits": headed(shape=[2**31, 2**31, 6]),
        "a shape that overflows to 0": headed(shape=[2**31, 2**31, 4], data_offsets=[0, 0]),
        "places that are three": headed(data_offsets=[0, 24, 24]),
        "places the other way round": headed(data_offsets=[24, 0]),
        "places beyond the end": headed(data_offsets=[4, 28]),
        "negative places": headed(data_offsets=[-24, 0]),
        "a gap": packed(header | {"w": place | {"data_offsets": [8, 32]}}, values + b"\0" * 8),
        "two tensors on one place": packed(header | {"edgemeta.v": place}, values),
        **{name: labelled(labels) for name, labels in ODD_LABELS.items()},
    }
