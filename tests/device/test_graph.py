"""Graphs that a compiler of ours never writes are refused before onnxruntime sees them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgemeta import BundleError, Runner
from edgemeta.bundle import ADAPT, PREDICT
from edgemeta.bundle._onnx_check import MAX_FIELDS, read_graph
from edgemeta.bundle.loading import Loaded, load_bundle
from tests.device.crafting import OMNIGLOT, crafted, edited

Edit = Callable[[onnx.ModelProto], object]


def frozen(model: onnx.ModelProto) -> TensorProto:
    """Return an initializer that is in init.bin and belongs to no state."""
    found: TensorProto
    (found,) = (t for t in model.graph.initializer if t.name == "blocks.0.0.weight")
    return found


def say(key: str, value: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        (entry,) = (e for e in frozen(model).external_data if e.key == key)
        entry.value = value

    return edit


def add_attribute(**fields: Any) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        model.graph.node[0].attribute.append(onnx.AttributeProto(name="odd", **fields))

    return edit


def outside(name: str = "outside") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="init.bin"))
    return tensor


def nested(depth: int) -> onnx.GraphProto:
    graph = onnx.GraphProto(name="inner")
    if depth:
        graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=nested(depth - 1)))
    return graph


def in_body(model: onnx.ModelProto) -> None:
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    loop.attribute[0].g.initializer.append(outside())


EDITS: dict[str, tuple[Edit, str]] = {
    "an absolute path": (say("location", "/etc/passwd"), "external data at .*passwd"),
    "a path upwards": (say("location", "../init.bin"), "external data at"),
    "a path inside": (say("location", "./init.bin"), "external data at"),
    "another file of the bundle": (say("location", "manifest.json"), "external data at"),
    "beyond the end": (say("offset", "448900"), "ends beyond the 448900 bytes"),
    "a negative offset": (say("offset", "-64"), "external data at"),
    "a huge offset": (say("offset", "9" * 400), "external data at"),
    "an odd offset": (say("offset", "1089"), "external data at"),
    "a wrong length": (say("length", "4"), "of 2304 bytes has external data"),
    "a key that is said twice": (
        lambda m: frozen(m).external_data.append(frozen(m).external_data[0]),
        "said twice",
    ),
    "an unknown key": (
        lambda m: frozen(m).external_data.add(key="checksum", value="0"),
        "external data at",
    ),
    "values inside and outside": (lambda m: frozen(m).float_data.append(0), "external data where"),
    "external data in a Loop": (in_body, "external data where there can be none"),
    "external data in an attribute": (
        add_attribute(type=4, t=outside()),
        "external data where there can be none",
    ),
    "external data in a list": (
        add_attribute(type=9, tensors=[outside()]),
        "external data where there can be none",
    ),
    "an op of another domain": (
        lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"),
        "an op of the domain 'com.microsoft'",
    ),
    "a domain that is imported": (
        lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1)),
        "opset of the domain 'com.microsoft'",
    ),
    "another opset": (lambda m: setattr(m.opset_import[0], "version", 19), "opset 19"),
    "an op that the manifest does not name": (
        lambda m: m.graph.node.append(helper.make_node("RandomNormal", [], ["x"], shape=[1])),
        "other ops than the manifest says: RandomNormal",
    ),
    "a function": (
        lambda m: m.functions.append(onnx.FunctionProto(name="f")),
        "an unknown field",
    ),
    "training information": (lambda m: m.training_info.add(), "an unknown field"),
    "a sparse tensor": (lambda m: m.graph.sparse_initializer.add(), "an unknown field"),
    "a tensor of strings": (
        lambda m: m.graph.initializer.add(name="s", data_type=TensorProto.STRING),
        "data type 8",
    ),
    "more numbers than there are bytes": (
        lambda m: m.graph.initializer.add(name="x", data_type=1, dims=[2**10, 2**30]),
        "has another number of values",
    ),
    "more numbers than any memory has": (
        lambda m: m.graph.initializer.add(name="x", data_type=1, dims=[2**30, 2**30]),
        "a shape of 4611686018427387904 bytes",
    ),
    "a negative size": (
        lambda m: m.graph.initializer.add(name="x", data_type=1, dims=[-1]),
        "has shape",
    ),
    "many axes": (
        lambda m: m.graph.initializer.add(name="x", data_type=1, dims=[1] * 100),
        "more than 16 numbers|has shape",
    ),
    "two initializers of one name": (
        lambda m: m.graph.initializer.append(frozen(m)),
        "without a name of its own",
    ),
    "a state tensor of another shape": (
        lambda m: m.graph.initializer.remove(m.graph.initializer[0]),
        "state tensor head.weight does not fit",
    ),
    "deep nesting": (
        lambda m: m.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=nested(20))),
        "graphs nested deeper than 8",
    ),
    "a node without an op": (lambda m: m.graph.node.add(), "a node without an op"),
}


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a session was made")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("name", EDITS)
def test_a_hostile_graph_never_becomes_a_session(name: str, tmp_path: Path) -> None:
    edit, message = EDITS[name]
    bundle = crafted(tmp_path, adapt=edited(ADAPT, edit))
    with pytest.raises(BundleError, match=message) as caught:
        Runner(bundle)
    assert "adapt.onnx is no graph of a bundle" in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [ADAPT, PREDICT])
def test_the_reader_finds_what_onnx_finds(name: str) -> None:
    content = (OMNIGLOT / name).read_bytes()
    model, found = onnx.load_from_string(content), read_graph(content)
    assert found.opset == model.opset_import[0].version
    assert list(found.initializers) == [t.name for t in model.graph.initializer]
    for tensor in model.graph.initializer:
        assert found.initializers[tensor.name].shape == tuple(tensor.dims)
        assert (found.initializers[tensor.name].offset is not None) == bool(tensor.data_location)


def test_packed_and_typed_values_are_read_too() -> None:
    values = helper.make_tensor("x", TensorProto.INT64, [3], [1, 2, 300])
    packed = TensorProto(name="p", data_type=1, float_data=[1, 2], dims=[2])
    node = helper.make_node("Identity", ["x"], ["y"], ints=[1, -2], floats=[0.5], strings=["a"])
    graph = helper.make_graph([node], "g", [], [], [values, packed])
    found = read_graph(helper.make_model(graph).SerializeToString())
    assert {n: t.shape for n, t in found.initializers.items()} == {"x": (3,), "p": (2,)}


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"\x3a\x05", b"\x3a\xff\xff\xff\xff\xff\xff\x01"]
)
def test_a_file_that_was_cut_short(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|0 graphs|unknown field"):
        read_graph(content)


def test_a_message_that_protobuf_would_merge() -> None:
    content = (OMNIGLOT / PREDICT).read_bytes()
    extra = onnx.ModelProto(graph=onnx.GraphProto(initializer=[outside()])).SerializeToString()
    assert len(onnx.load_from_string(content + extra).graph.initializer) == 27
    with pytest.raises(ValueError, match="field 7 twice"):
        read_graph(content + extra)


def test_more_nodes_than_anyone_needs_are_refused_in_a_second() -> None:
    node = b"\x0a\x03\x22\x01A"  # a node with the op A
    graph = onnx.GraphProto()
    content = graph.SerializeToString() + node * (MAX_FIELDS // 2)
    model = onnx.ModelProto(opset_import=[helper.make_opsetid("", 20)]).SerializeToString()
    size, length = len(content), b""
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    began = time.thread_time()
    with pytest.raises(ValueError, match="too many fields"):
        read_graph(model + b"\x3a" + length + bytes([size]) + content)
    assert time.thread_time() - began < 1


def test_truth_values_are_zero_or_one(tmp_path: Path) -> None:
    """Others are undefined in C++."""

    def edit(model: onnx.ModelProto) -> None:
        frozen(model).data_type = TensorProto.BOOL
        frozen(model).dims[:] = [2304]

    with pytest.raises(BundleError, match="truth values beyond 0 and 1"):
        Runner(crafted(tmp_path, adapt=edited(ADAPT, edit)))


def test_what_was_checked_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are exchanged after the check have no effect: no one opens them again."""
    bundle = crafted(tmp_path)

    def load_and_exchange(directory: Path, key: None) -> Loaded:
        loaded = load_bundle(directory, key)
        for path in bundle.iterdir():
            path.write_bytes(b"something else")
        return loaded

    x = np.random.default_rng(0).integers(0, 256, (4, 28, 28), np.uint8)
    wanted = Runner(bundle, threads=1).adapt(x, [0, 1, 2, 3]).predict_logits(x)
    monkeypatch.setattr("edgemeta.device._model.load_bundle", load_and_exchange)
    found = Runner(bundle, threads=1).adapt(x, [0, 1, 2, 3]).predict_logits(x)
    assert np.array_equal(found, wanted)
