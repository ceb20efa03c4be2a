"""Vectors of manifests: what JSON is, and what the contract says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgemeta.bundle import ADAPT, INIT, MAX_NAME, MAX_WAYS, SELFTEST
from edgemeta.util.strict_json import MAX_DEPTH, MAX_INTEGER
from tests.vectors import Vector
from tests.vectors.base import (
    ACCEPT,
    BUNDLE,
    encoded,
    file_record,
    manifest,
    regression,
    shared,
    state_tensor,
    text,
)

SPEC = {"shape": [3], "dtype": "float32"}


def manifests() -> Iterator[Vector]:
    """Yield the vectors of kind "manifest"."""
    for name, record in ACCEPTED.items():
        names = [tensor["name"] for tensor in record["state"]]
        facts = {"task": record["task"], "ways": record["ways"], "state": names}
        facts["labels"] = record.get("labels")
        yield _vector(name, encoded(record), ACCEPT, facts)
    for name, content in OTHER_JSON.items():
        yield _vector(name, content, ACCEPT, {})
    for name, record in REFUSED.items():
        yield _vector(name, encoded(record), BUNDLE, {})
    for name, content in NO_JSON.items():
        yield _vector(name, content, BUNDLE, {})


def _vector(name: str, content: bytes, verdict: str, facts: Mapping[str, Any]) -> Vector:
    return Vector(name, {"kind": "manifest", "content": text(content)}, verdict, facts)


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in manifest().items() if name != key}


def _named(name: str) -> dict[str, Any]:
    return manifest(state=[state_tensor(name=name)])


def _nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return manifest(algorithm={"odd": value})


def _file(name: str, **changes: Any) -> dict[str, Any]:
    files = manifest()["files"]
    return manifest(files=files | {name: files[name] | changes})


ACCEPTED = {
    "as it is": manifest(),
    "regression": regression(),
    "a shared head": shared(),
    "one class": manifest(ways=1),
    "most classes": manifest(ways=MAX_WAYS),
    "a scalar": manifest(input={"shape": [], "dtype": "uint8"}),
    "samples of nothing": manifest(input={"shape": [0, 2**31 - 1], "dtype": "uint8"}),
    "samples of nothing, with other axes": manifest(
        input={"shape": [2**26, 0, 2**26], "dtype": "float64"}
    ),
    "16 axes": manifest(input={"shape": [1] * 16, "dtype": "bool"}),
    "the longest name": _named("x" * MAX_NAME),
    "the longest name, in bytes": _named("ä" * (MAX_NAME // 2)),
    "a name of an emoji": _named("\U0001f600"),
    "a name that a person cannot see": _named("\u200b"),
    "a name of spaces": _named(" \u3000"),
    "a name that JavaScript knows": _named("__proto__"),
    "two tensors": manifest(state=[state_tensor(shape=[3]), state_tensor(name="v", shape=[3])]),
    "no steps": manifest(inner_steps=0),
    "the largest integer": manifest(flops_per_step=MAX_INTEGER),
    "a tolerance that is an integer": manifest(parity={"atol": 1, "rtol": 0}),
    "a tolerance with other fields": manifest(parity={"atol": 1, "rtol": 0, "reference": "x"}),
    "lines and tabs in a text": manifest(versions={"a": "b\n\tc"}),
    "nested as deep as can be": _nested(MAX_DEPTH - 2),
    "an op twice": manifest(ops={ADAPT: ["Add", "Add"], "predict.onnx": []}),
    "a number with a point": manifest(algorithm={"inner_lr": 1.0, "rate": 1e300}),
    "tuned": manifest(tuned={"ms": 1.5}),
    "labels": manifest(labels=["walk", "run"]),
    "labels of one class": manifest(ways=1, labels=["walk"]),
    "labels that are no names elsewhere": manifest(ways=5, labels=["", "1", "null", " ", "\t\n"]),
    "labels that differ in case and in form": manifest(
        ways=4, labels=["a", "A", "\u00e4", "a\u0308"]
    ),
    "labels that JavaScript knows": manifest(labels=["__proto__", "constructor"]),
    "a label of an emoji": manifest(labels=["\U0001f600", "\u200b"]),
    "labels without order": manifest(ways=3, labels=["c", "a", "b"]),
    "many labels": manifest(ways=1000, labels=[f"class {k}" for k in range(1000)]),
}

_PLAIN = encoded(manifest())

OTHER_JSON = {
    "spaces around": b" \r\n\t" + _PLAIN + b"\n ",
    "escapes": _PLAIN.replace(b'"task"', b'"\\u0074ask"'),
    "a surrogate pair as escapes": encoded(_named("?")).replace(b'"?"', b'"\\ud83d\\ude00"'),
}

REFUSED = {
    **{f"no {name}": _without(name) for name in manifest()},
    "an unknown field": manifest(surprise=1),
    "an unknown field that JavaScript knows": manifest(__proto__=1),
    "another task": manifest(task="clustering"),
    "classification without ways": manifest(ways=None),
    "regression with ways": regression() | {"ways": 2},
    "no ways": manifest(ways=0),
    "too many ways": manifest(ways=MAX_WAYS + 1),
    "ways true": manifest(ways=True),
    "ways as text": manifest(ways="2"),
    "labels of another type": manifest(target={"shape": [], "dtype": "int32"}),
    "labels of another shape": manifest(target={"shape": [1], "dtype": "int64"}),
    "targets of another type": regression() | {"target": {"shape": [1], "dtype": "float64"}},
    "negative steps": manifest(inner_steps=-1),
    "steps beyond 53 bits": manifest(inner_steps=MAX_INTEGER + 1),
    "no support": manifest(least_support=0),
    "an opset as text": manifest(opset="20"),
    "a negative opset": manifest(opset=-1),
    "negative flops": manifest(flops_per_step=-1),
    "memory that is no number": manifest(peak_memory_bytes=None),
    "parameters false": manifest(adapted_parameters=False),
    "an algorithm that is a list": manifest(algorithm=[]),
    "versions that are no texts": manifest(versions={"a": 1}),
    "training that is a list": manifest(training=[1]),
    "tuned that is a text": manifest(tuned="fast"),
    "no tolerance": manifest(parity={}),
    "a tolerance of nothing": manifest(parity={"atol": 0, "rtol": 1}),
    "a negative tolerance": manifest(parity={"atol": 1e-6, "rtol": -1e-6}),
    "a tolerance true": manifest(parity={"atol": True, "rtol": 0}),
    "a tolerance as text": manifest(parity={"atol": "1", "rtol": 0}),
    "a shape that is a number": manifest(input=SPEC | {"shape": 3}),
    "a shape of true": manifest(input=SPEC | {"shape": [True]}),
    "a negative shape": manifest(input=SPEC | {"shape": [-3, -1]}),
    "a huge axis": manifest(input=SPEC | {"shape": [0, 2**31]}),
    "a huge sample": manifest(input=SPEC | {"shape": [2**14, 2**14]}),
    "a sample whose size is 0 in 32 bits": manifest(input=SPEC | {"shape": [2**16, 2**16]}),
    "a sample whose size is 0 in 64 bits": manifest(input=SPEC | {"shape": [2**30, 2**30, 16]}),
    "a sample of nothing, with huge other axes": manifest(
        input=SPEC | {"shape": [2**27, 0, 2**27]}
    ),
    "regression with ways of a half": regression() | {"ways": 0.5},
    "regression with ways false": regression() | {"ways": False},
    "17 axes": manifest(input=SPEC | {"shape": [1] * 17}),
    "an unknown dtype": manifest(input=SPEC | {"dtype": "complex64"}),
    "a dtype that JavaScript knows": manifest(input=SPEC | {"dtype": "toString"}),
    "a spec with a field more": manifest(input=SPEC | {"name": "x"}),
    "a spec with a field less": manifest(input={"shape": [3]}),
    "state that is no list": manifest(state={"w": state_tensor()}),
    "no state tensors": manifest(state=[]),
    "a state tensor that is a text": manifest(state=["w"]),
    "a state tensor with a field more": manifest(state=[state_tensor(more=1)]),
    "a state tensor of another kind": manifest(state=[state_tensor(kind="running")]),
    "a state tensor twice": manifest(state=[state_tensor(shape=[1]), state_tensor(shape=[1])]),
    "a state larger than init.bin": manifest(state=[state_tensor(shape=[3, 3])]),
    "a state whose size is 0 in 32 bits": manifest(state=[state_tensor(shape=[2**15, 2**15])]),
    "per_class that is a number": manifest(state=[state_tensor(per_class=1, shape=[1, 3])]),
    "per_class that is null": manifest(state=[state_tensor(per_class=None)]),
    "per_class with two rows": manifest(state=[state_tensor(per_class=True)]),
    "per_class of a regression": regression(state=[state_tensor(shape=[1, 3], per_class=True)]),
    "an empty name": _named(""),
    "a name that is a number": manifest(state=[state_tensor(name=1)]),
    "a name that is too long": _named("x" * (MAX_NAME + 1)),
    "a name that is too long in bytes": _named("ä" * (MAX_NAME // 2 + 1)),
    "a name with a zero": _named("w\0"),
    "a name with a line feed": _named("w\n"),
    "a name with a tab": _named("w\t"),
    "a name with an escape sequence": _named("w\x1b[2J"),
    "a name with DEL": _named("w\x7f"),
    "a name with a control character beyond ASCII": _named("w\x9b2J"),
    "a reserved name": _named("support_x"),
    "a name of ours": _named("edgemeta.w"),
    "ops that are a text": manifest(ops={ADAPT: "Add", "predict.onnx": []}),
    "ops that are numbers": manifest(ops={ADAPT: [1], "predict.onnx": []}),
    "ops of another file": manifest(ops=manifest()["ops"] | {"other.onnx": []}),
    "ops of one graph": manifest(ops={ADAPT: []}),
    "a file more": manifest(files=manifest()["files"] | {"other.bin": file_record(b"")}),
    "no selftest": manifest(
        files={name: each for name, each in manifest()["files"].items() if name != SELFTEST}
    ),
    "a file with a field more": _file(INIT, mode=0),
    "a huge file": _file(ADAPT, size=2**26 + 1),
    "a negative size": _file(ADAPT, size=-1),
    "a hash in capitals": _file(ADAPT, sha256="A" * 64),
    "a hash that is a path": _file(ADAPT, sha256="../../etc/passwd"),
    "a control character in some text": manifest(versions={"a": "\x1b[2J"}),
    "a control character in some key": manifest(versions={"\x07": "1"}),
    "nested too deeply": _nested(MAX_DEPTH - 1),
    "labels that are null": manifest(labels=None),
    "labels that are a text": manifest(labels="ab"),
    "labels that are an object": manifest(labels={"a": 0, "b": 1}),
    "labels that are numbers": manifest(labels=[0, 1]),
    "a label that is a number": manifest(labels=["a", 1]),
    "a label that is null": manifest(labels=["a", None]),
    "a label that is a list": manifest(labels=["a", ["b"]]),
    "no labels": manifest(labels=[]),
    "a label less": manifest(labels=["a"]),
    "a label more": manifest(labels=["a", "b", "c"]),
    "a label twice": manifest(labels=["a", "a"]),
    "a label with an escape sequence": manifest(labels=["a", "\x1b[2J"]),
    "a label with a control character beyond ASCII": manifest(labels=["a", "\x9b2J"]),
    "labels of a regression": regression(labels=["a", "b"]),
    "no labels of a regression": regression(labels=[]),
    "labels of a shared head": shared(labels=["a", "b"]),
    "version 0": manifest(format_version=0),
    "version 2": manifest(format_version=2),
    "version true": manifest(format_version=True),
    "a version as text": manifest(format_version="1"),
}


def _with(old: bytes, new: bytes) -> bytes:
    assert old in _PLAIN
    return _PLAIN.replace(old, new, 1)


NO_JSON = {
    "nothing": b"",
    "a list": b"[]",
    "two documents": b"{}{}",
    "cut short": _PLAIN[:-1],
    "something behind it": _PLAIN + b"x",
    "a byte order mark": b"\xef\xbb\xbf" + _PLAIN,
    "no UTF-8": _with(b"maml", b"m\xffml"),
    "UTF-8 that is too long": _with(b"maml", b"m\xc0\xaf"),
    "half a surrogate pair as UTF-8": _with(b"maml", b"\xed\xa0\x80"),
    "half a surrogate pair": _with(b'"maml"', b'"\\ud800"'),
    "the other half": _with(b'"maml"', b'"\\udc00x"'),
    "a key twice": _with(b'"ways": 2', b'"ways": 2, "ways": 2'),
    "a key twice, once escaped": _with(b'"ways": 2', b'"ways": 2, "w\\u0061ys": 2'),
    "a key twice, further in": _with(b'"inner_lr": 0.1', b'"a": 1, "a": 1'),
    "a key twice that JavaScript knows": _with(b'"inner_lr"', b'"__proto__": 1, "__proto__"'),
    "an escaped control character": _with(b'"maml"', b'"\\u001b"'),
    "a raw control character": _with(b"maml", b"m\x01"),
    "a raw tab": _with(b"maml", b"m\t"),
    "NaN": _with(b"0.1", b"NaN"),
    "infinity": _with(b"0.1", b"-Infinity"),
    "a number beyond the largest": _with(b"0.1", b"1e999"),
    "an integer of 400 digits": _with(b"0.1", b"9" * 400),
    "an integer of 64 bits": _with(b"0.1", b"18446744073709551615"),
    "an integer of 54 bits": _with(b"0.1", b"9007199254740992"),
    "a negative integer of 54 bits": _with(b"0.1", b"-9007199254740992"),
    "a leading zero": _with(b'"opset": 20', b'"opset": 020'),
    "a plus": _with(b"0.1", b"+1"),
    "a point without digits": _with(b"0.1", b"1."),
    "hexadecimal": _with(b"0.1", b"0x1"),
    "a comma at the end": _with(b'"dtype": "float32"}', b'"dtype": "float32",}'),
    "a comment": _with(b'"ways"', b'/* */ "ways"'),
    "single quotes": _with(b'"maml"', b"'maml'"),
    "an escape that is none": _with(b'"maml"', b'"\\x41"'),
    "a form feed for a space": _PLAIN.replace(b" ", b"\x0c", 1),
    "a no-break space": _PLAIN.replace(b" ", b"\xc2\xa0", 1),
    "ways with a point": _with(b'"ways": 2', b'"ways": 2.0'),
    "ways with an exponent": _with(b'"ways": 2', b'"ways": 2e0'),
    "a version with a point": _with(b'"format_version": 1', b'"format_version": 1.0'),
    "a shape with a point": _with(b'"shape": [3]', b'"shape": [3.0]'),
    "a shape of a negative zero": _with(b'"shape": [3]', b'"shape": [-0.0]'),
    "nested without end": b'{"a":' * 5_000,
    "lists without end": b"[" * 5_000,
}
