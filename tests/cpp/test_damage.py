"""Damaged or hostile bundles, states and inputs: exit code 2, one line, nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from edgemeta.bundle import ADAPT, MANIFEST, SELFTEST, STATE_DIGEST_KEY, STATE_WAYS_KEY
from edgemeta.bundle._tensor_file import digest
from edgemeta.device.packaged import BUNDLES
from tests.cpp.conftest import Bundle, Save, Tool
from tests.device.crafting import crafted, edited
from tests.vectors.graphs import FAR, UINT8, number, part

OMNIGLOT = BUNDLES / "omniglot"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(OMNIGLOT, tmp_path / "bundle"))


@pytest.mark.parametrize("name", ["adapt.onnx", "predict.onnx", "init.bin", "selftest.safetensors"])
def test_a_file_that_was_changed(tool: Tool, copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert f"{name} is damaged: got sha256 " in tool("verify", copy).refused()
    (copy / name).write_bytes(content[:-1])
    assert f"{name} is damaged: got {len(content) - 1} bytes" in tool("verify", copy).refused()
    (copy / name).unlink()
    assert f"{name} cannot be read" in tool("verify", copy).refused()
    (copy / name).symlink_to(OMNIGLOT / name)
    assert "a symbolic link" in tool("verify", copy).refused()


def test_the_selftest_is_for_whoever_verifies(
    tool: Tool, omniglot: Bundle, save: Save, copy: Path
) -> None:
    queries = save(x=omniglot.samples(2, 2)[0])
    (copy / SELFTEST).write_bytes(b"damaged")
    assert tool("predict", copy, queries).code == 0
    assert f"{SELFTEST} is damaged" in tool("bench", copy).refused()
    (copy / SELFTEST).unlink()
    assert tool("predict", copy, queries).code == 0
    assert f"{SELFTEST} cannot be read" in tool("verify", copy).refused()


def test_a_directory_that_is_no_bundle(tool: Tool, tmp_path: Path) -> None:
    assert "is not a bundle: got no readable manifest.json" in tool("verify", tmp_path).refused()


Edit = Callable[[dict[str, Any]], object]

BROKEN: dict[str, Edit] = {
    "task": lambda m: m.update(task="other"),
    "ways": lambda m: m.update(ways=0),
    "ways, huge": lambda m: m.update(ways=2**40),
    "steps": lambda m: m.update(inner_steps=-1),
    "steps, no integer": lambda m: m.update(inner_steps=1.5),
    "support": lambda m: m.update(least_support=0),
    "input": lambda m: m["input"].update(shape=[2**31, 2**31, 2**31]),
    "dtype": lambda m: m["input"].update(dtype="complex64"),
    "axes": lambda m: m["input"].update(shape=[1] * 17),
    "target": lambda m: m["target"].update(dtype="float32"),
    "no state": lambda m: m.update(state=[]),
    "state's name": lambda m: m["state"][0].update(name="support_x"),
    "state twice": lambda m: m["state"].append(m["state"][0]),
    "state's size": lambda m: m["state"][0].update(shape=[1, 2**20]),
    "state's rows": lambda m: m["state"][0].update(shape=[2, 256]),
    "hash": lambda m: m["files"][ADAPT].update(sha256="../../etc"),
    "size": lambda m: m["files"][ADAPT].update(size=2**40),
    "no file": lambda m: m["files"].pop("init.bin"),
    "parity": lambda m: m["parity"].pop("atol"),
    "ops": lambda m: m["ops"].update({ADAPT: "Add"}),
}


@pytest.mark.parametrize("edit", BROKEN.values(), ids=BROKEN.keys())
def test_a_manifest_that_breaks_the_contract(tool: Tool, copy: Path, edit: Edit) -> None:
    record = json.loads((copy / MANIFEST).read_text())
    edit(record)
    (copy / MANIFEST).write_text(json.dumps(record))
    assert "manifest.json breaks the contract: got " in tool("verify", copy).refused()


@pytest.mark.parametrize(
    "content",
    [
        *("", "hello", "[]", "null", '{"format_version": 1', '{"a": 1, "a": 2}', "{}" * 2),
        *("[" * 100_000, '{"a":' * 100_000, '{"\\ud800": 1}', "\0", "\x1b[31m"),
    ],
)
def test_a_manifest_that_is_no_json(tool: Tool, copy: Path, content: str) -> None:
    (copy / MANIFEST).write_text(content)
    line = tool("verify", copy).refused()
    assert len(line) < 2000
    assert "\x1b" not in line


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0])
def test_another_version(tool: Tool, copy: Path, version: object) -> None:
    record = json.loads((copy / MANIFEST).read_text()) | {"format_version": version}
    (copy / MANIFEST).write_text(json.dumps(record))
    assert "unknown format_version" in tool("verify", copy).refused()


def test_a_manifest_that_is_huge(tool: Tool, copy: Path) -> None:
    (copy / MANIFEST).write_text(" " * (1 << 20))
    assert "is too large" in tool("verify", copy).refused()


def _external(model: onnx.ModelProto, location: str) -> None:
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location


def _inner_external(model: onnx.ModelProto) -> None:
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    (body,) = (a.g for a in loop.attribute if a.name == "body")
    tensor = body.initializer.add(name="stolen", data_type=onnx.TensorProto.UINT8, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "/etc/passwd"), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "another file": (lambda m: _external(m, "/etc/passwd"), "external data not in init.bin"),
    "a folder up": (lambda m: _external(m, "../init.bin"), "external data not in init.bin"),
    "within a loop": (_inner_external, "external data where there can be none"),
    "another domain": (
        lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"),
        "an op of the domain com.microsoft",
    ),
    "another op": (
        lambda m: setattr(m.graph.node[0], "op_type", "Gelu"),
        "other ops than the manifest says",
    ),
    "a function": (lambda m: m.functions.add(name="f"), "an unknown field, tag 202"),
    "another opset": (lambda m: m.opset_import.add(domain="ai.onnx.ml", version=3), "ai.onnx.ml"),
    "renamed": (
        lambda m: setattr(m.graph.input[0], "name", "other"),
        "adapt.onnx ",  # ONNX Runtime, or the check of the names
    ),
}


@pytest.mark.parametrize(("edit", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_graph_that_no_compiler_of_ours_writes(
    tool: Tool, tmp_path: Path, edit: Callable[[onnx.ModelProto], object], reason: str
) -> None:
    path = crafted(tmp_path, adapt=edited(ADAPT, edit))
    assert reason in tool("verify", path).refused()


def test_external_data_that_is_hidden_from_a_check(tool: Tool, tmp_path: Path) -> None:
    """Behind tags of which onnxruntime's protobuf keeps 32 bits, and so sees external data."""
    model = onnx.load(OMNIGLOT / ADAPT, load_external_data=False)
    said = {"location": "/etc/passwd", "offset": "0", "length": "4"}
    entries = b"".join(part(13, part(1, k) + part(2, v), FAR) for k, v in said.items())
    stolen = number(1, 4) + number(2, UINT8) + part(8, "stolen") + entries + number(14, 1)
    graph = model.graph.SerializeToString() + part(5, stolen)
    model.ClearField("graph")
    hidden = model.SerializeToString() + part(7, graph)
    line = tool("verify", crafted(tmp_path, adapt=hidden)).refused()
    tag = FAR + (13 << 3 | 2)
    assert f"adapt.onnx is no graph of a bundle: got an unknown field, tag {tag};" in line


def test_an_entry_that_comes_twice(tool: Tool, tmp_path: Path) -> None:
    content = edited(ADAPT, lambda m: None)
    entry = b"\x0a\x08location\x12\x08init.bin"
    assert entry in content
    # A value more, in the first entry: all lengths around it grow, so the graph is cut short.
    hostile = content.replace(entry, entry + b"\x12\x0b/etc/passwd", 1)
    assert "no graph of a bundle" in tool("verify", crafted(tmp_path, adapt=hostile)).refused()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_graph_that_is_cut_short(tool: Tool, tmp_path: Path, share: float) -> None:
    content = (OMNIGLOT / ADAPT).read_bytes()
    path = crafted(tmp_path, adapt=content[: int(share * len(content))])
    assert "no graph of a bundle" in tool("verify", path).refused()


@pytest.fixture
def state(omniglot: Bundle, tmp_path: Path) -> Path:
    x, y = omniglot.samples(5, 1)
    omniglot.runner.adapt(x, y).save(tmp_path / "state.safetensors")
    return tmp_path / "state.safetensors"


def resigned(path: Path, tensors: dict[str, Any], **metadata: str) -> Path:
    """Write a state file whose hash is right, whatever else it holds."""
    with safe_open(path, "numpy") as file:
        every = {**file.metadata(), **metadata}
    del every[STATE_DIGEST_KEY]
    save_file(tensors, path, every | {STATE_DIGEST_KEY: digest(tensors, every)})
    return path


def test_every_byte_of_a_state_counts(
    tool: Tool, omniglot: Bundle, save: Save, state: Path
) -> None:
    queries = save(x=omniglot.samples(2, 2)[0])
    assert tool("predict", OMNIGLOT, queries, "--state", state).code == 0
    content = state.read_bytes()
    for place in np.linspace(0, len(content) - 1, 25).astype(int).tolist():
        damaged = bytearray(content)
        damaged[place] ^= 1
        state.write_bytes(damaged)
        tool("predict", OMNIGLOT, queries, "--state", state).refused()
    for length in (0, 7, 8, 100, len(content) - 1):
        state.write_bytes(content[:length])
        tool("predict", OMNIGLOT, queries, "--state", state).refused()


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("lacks head.bias", lambda t: t.pop("head.bias")),
        ("unknown tensor: got more", lambda t: t.update(more=np.zeros(1))),
        ("does not fit the bundle", lambda t: t.update({"head.bias": np.zeros(4, np.float32)})),
        ("does not fit the bundle", lambda t: t.update({"head.bias": np.zeros(5)})),
        ("not finite", lambda t: t.update({"head.bias": np.full(5, np.nan, np.float32)})),
    ],
)
def test_a_state_of_other_tensors(
    tool: Tool,
    omniglot: Bundle,
    save: Save,
    state: Path,
    reason: str,
    change: Callable[[dict[str, Any]], object],
) -> None:
    tensors = load_file(state)
    change(tensors)
    queries = save(x=omniglot.samples(2, 2)[0])
    done = tool("predict", OMNIGLOT, queries, "--state", resigned(state, tensors))
    assert reason in done.refused()


@pytest.mark.parametrize("ways", ["", "0", "-1", "5.0", "65537", "9" * 40, "\u0665"])
def test_a_state_of_odd_ways(
    tool: Tool, omniglot: Bundle, save: Save, state: Path, ways: str
) -> None:
    resigned(state, load_file(state), **{STATE_WAYS_KEY: ways})
    done = tool("predict", OMNIGLOT, save(x=omniglot.samples(2, 2)[0]), "--state", state)
    assert "unusable number of ways" in done.refused()


def test_a_state_of_another_bundle(tool: Tool, classifier: Bundle, save: Save, state: Path) -> None:
    queries = save(x=classifier.samples(2, 2)[0])
    done = tool("predict", classifier.path, queries, "--state", state)
    assert "belongs to another bundle" in done.refused()


def test_what_python_keeps_beside_a_state_is_left_alone(
    tool: Tool, omniglot: Bundle, save: Save, state: Path
) -> None:
    resigned(state, load_file(state) | {"edgemeta.support_x": np.zeros((2, 28, 28), np.uint8)})
    queries = save(x=omniglot.samples(2, 2)[0])
    assert tool("predict", OMNIGLOT, queries, "--state", state).code == 0


X, Y = np.zeros((2, 28, 28), np.uint8), np.arange(2)


@pytest.mark.parametrize(
    ("reason", "x", "y"),
    [
        ("support_x has the wrong dtype: got float32, expected uint8", X.astype(np.float32), Y),
        ("support_x has the wrong shape: got (2, 28), expected (n, 28, 28)", X[:, 0], Y),
        ("support_x is one sample, not a batch", X[0], Y),
        ("support_x is empty", X[:0], Y[:0]),
        ("support_y has the wrong shape: got (1,), expected (2,)", X, Y[:1]),
        ("support_y has the wrong dtype: got int32, expected int64", X, Y.astype(np.int32)),
        ("labels outside the task's classes: got -1..0", X, Y - 1),
        ("labels outside the task's classes: got 0..65536, expected 0..65535", X, Y * 65_536),
    ],
)
def test_a_support_set_that_cannot_be_used(
    tool: Tool, save: Save, tmp_path: Path, reason: str, x: Any, y: Any
) -> None:
    out = tmp_path / "out.safetensors"
    assert reason in tool("adapt", OMNIGLOT, save(x=x, y=y), "--out", out).refused()
    assert not out.exists()


def test_targets_that_are_not_finite(
    tool: Tool, regressor: Bundle, save: Save, tmp_path: Path
) -> None:
    x, y = regressor.samples(5, 1)
    y[2] = np.inf
    done = tool("adapt", regressor.path, save(x=x, y=y), "--out", tmp_path / "out")
    assert "support_y holds values that are not finite" in done.refused()


def test_files_that_are_no_input(tool: Tool, save: Save, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, OMNIGLOT / MANIFEST):
        done = tool("predict", OMNIGLOT, path)
        assert "is no readable safetensors file" in done.refused()
    assert "has no tensor x" in tool("predict", OMNIGLOT, save(other=X)).refused()


def test_a_state_is_written_whole_or_not_at_all(tool: Tool, save: Save, tmp_path: Path) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    out = folder / "state.safetensors"
    abandoned = folder / f".{out.name}.0123456789abcdef.part"
    abandoned.write_text("of a writer that was killed")
    support = save(x=X, y=Y)
    assert tool("adapt", OMNIGLOT, support, "--out", out, "--steps", 0).code == 0
    assert [path.name for path in folder.iterdir()] == [out.name]
    done = tool("adapt", OMNIGLOT, support, "--out", tmp_path / "absent" / "x", "--steps", 0)
    assert "cannot write" in done.refused(code=1)
