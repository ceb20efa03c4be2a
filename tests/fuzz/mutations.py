"""How a good file becomes a bad one that still looks good."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.protobuf import varint

Mutate = Callable[[bytes, random.Random], bytes]

NASTY_INTEGERS = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
NASTY_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0.5,
        1e308,
        10**400,
        float("nan"),
        float("inf"),
        "",
        "\x1b[2J",
        "a\nb",
    ),
    *("\ud800", "../init.bin", "/etc/passwd", "x" * 2000, [], {}, [[[]]], {"a": {}}, [2**40] * 3),
    *NASTY_INTEGERS,
)


def by_bytes(content: bytes, rng: random.Random) -> bytes:
    """Flip, insert, remove, repeat or cut a few bytes."""
    data = bytearray(content or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        at, size = rng.randrange(len(data)), rng.choice((1, 1, 2, 4, 16))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                data[at:at] = rng.randbytes(size)
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size]
            case _:
                del data[at:]
        data = data or bytearray(b"\0")
    return bytes(data)


def json_by_structure(content: bytes, rng: random.Random) -> bytes:
    """Replace, remove, add or rename one value somewhere in a JSON document."""
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return by_bytes(content, rng)
    place, key = record, None
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = rng.choice(keys)
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        place = inner
    if key is None:
        return by_bytes(content, rng)
    match rng.randrange(5):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[rng.choice(("", "x", "__metadata__", f"{key} ", "a" * 300))] = place[key]
        case 2 if isinstance(place[key], int):
            place[key] += rng.choice((-1, 1, 64, -(2**20)))
        case 3 if isinstance(place, list):
            place.append(place[key])
        case _:
            place[key] = rng.choice(NASTY_VALUES)
    return json.dumps(record).encode()


_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+|true|false|null|[\[\]{},:]')
NASTY_TOKENS = (
    *(b"1.0", b"1e0", b"-0", b"-0.0", b"01", b"1.", b".5", b"+1", b"1e999", b"NaN", b"Infinity"),
    *(b"9007199254740992", b"9007199254740991.0", b"1e16", b"9" * 400, b"0x1", b"1_0", b"1e-400"),
    *(b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\/"', b'"\xc2\x85"', b'"\xe2\x80\xa8"'),
    *(b'"\xef\xbb\xbf"', b'"\t"', b"'a'", b"/**/", b"\xa0", b"\x0b", b"{}", b"[]", b"[1,]", b"{,}"),
    *(b'{"a":1,"a":1}', b'{"__proto__":1}', b"[[[[]]]]", b"", b"true", b"null", b'""', b"\r\n"),
)


def json_by_text(content: bytes, rng: random.Random) -> bytes:
    """Replace, double or remove one token of a JSON document, with no eye for what is JSON."""
    tokens = list(_TOKEN.finditer(content))
    if not tokens:
        return by_bytes(content, rng)
    begin, end = rng.choice(tokens).span()
    match rng.randrange(4):
        case 0:
            other = rng.choice(tokens).group()
        case 1:
            other = content[begin:end] * 2
        case _:
            other = rng.choice(NASTY_TOKENS)
    return content[:begin] + other + content[end:]


def safetensors_by_structure(content: bytes, rng: random.Random) -> bytes:
    """Change the header of a safetensors file, keeping its length right."""
    size = int.from_bytes(content[:8], "little")
    header = json_by_structure(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph"},
    "tensor": {13: "entry"},
    "value": {2: "type"},
    "type": {1: "tensor_type"},
    "tensor_type": {2: "shape"},
    "shape": {1: "dimension"},
}
"""Which fields of an ONNX message are messages: field number and name, from onnx.proto."""


def onnx_by_structure(content: bytes, rng: random.Random, message: str = "model") -> bytes:
    """Change one field somewhere in an ONNX file, keeping all lengths around it right."""
    fields = _split(content)
    if not fields:
        return by_bytes(content, rng)
    at = rng.randrange(len(fields))
    number, wire, body = fields[at]
    inner = MESSAGES.get(message, {}).get(number)
    if wire == 2 and inner is not None and rng.random() < 0.85:
        fields[at] = (number, wire, onnx_by_structure(body, rng, inner))
        return b"".join(_join(*field) for field in fields)
    padding = 0
    match rng.randrange(8):
        case 0:
            del fields[at]
        case 1:
            fields.insert(at, fields[rng.randrange(len(fields))])
        case 2:
            other = rng.randrange(len(fields))
            fields[at], fields[other] = fields[other], fields[at]
        case 3:
            fields[at] = (rng.randrange(1, 30), wire, body)
        case 4 if wire == 0:
            fields[at] = (number, wire, varint(rng.choice(NASTY_INTEGERS)))
        case 5:  # a tag that protobuf, which keeps 32 bits of it, takes for another
            fields[at] = (number + (rng.choice((1, 2, 1 << 30)) << 29), wire, body)
        case 6:
            padding = rng.randrange(1, 3)
        case _:
            fields[at] = (number, wire, by_bytes(body, rng))
    return b"".join(_join(*field, padding * (k == at)) for k, field in enumerate(fields))


def _split(content: bytes) -> list[tuple[int, int, bytes]]:
    """Return the fields of a message: number, wire type, body; nothing if it is damaged."""
    found, at = [], 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        start = at
        match tag & 7:
            case 0:
                _, at = _read_varint(content, at)
            case 2:
                size, start = _read_varint(content, at)
                at = start + size
            case 1 | 5:
                at += 8 if tag & 7 == 1 else 4
            case _:
                return []
        found.append((tag >> 3, tag & 7, content[start:at]))
    return found


def _join(number: int, wire: int, body: bytes, padding: int = 0) -> bytes:
    size = varint(len(body)) if wire == 2 else b""
    return varint(number << 3 | wire, padding) + size + body


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content):
        byte = content[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            break
    return value, at
