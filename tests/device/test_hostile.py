"""Bundles and states that were made to harm are refused soon, in little memory, in one line."""

from __future__ import annotations

import ast
import gc
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import edgemeta
from edgemeta import BundleError
from edgemeta.bundle import (
    INIT,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PAYLOAD,
    STATE_BUNDLE_KEY,
    Manifest,
    TrainingRecord,
    TrainingResult,
)
from edgemeta.bundle.loading import load_bundle
from edgemeta.bundle.selftest import read_selftest
from edgemeta.bundle.state import VERSION_KEY
from tests.device.crafting import OMNIGLOT, crafted

SECONDS = 1.0
MEGABYTES = 32  # half a MB of JSON becomes up to 20 of Python objects

ROOT = Path(__file__).parents[2]


def refused(read: Callable[[], object], message: str) -> None:
    """Check that a reader refuses, in one line and within a second of this thread's time."""
    gc.freeze()  # what other tests left is not for the reader's collections to look through
    try:
        began = time.thread_time()
        with pytest.raises(BundleError, match=message) as caught:
            read()
        took = time.thread_time() - began
    finally:
        gc.unfreeze()
    assert took < SECONDS
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def refused_bundle(bundle: Path, message: str) -> None:
    refused(lambda: load_all(bundle), message)


def load_all(bundle: Path) -> None:
    """Read a bundle, and its selftest, which loading leaves alone."""
    read_selftest(bundle, load_bundle(bundle).manifest)


def test_a_manifest_of_a_gigabyte(tmp_path: Path) -> None:
    bundle = crafted(tmp_path)
    os.truncate(bundle / MANIFEST, 1 << 30)
    refused_bundle(bundle, "too large")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * MAX_MANIFEST_BYTES, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a":' + "[" * 40 + "]" * 40 + "}", "nested deeper than 32"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "duplicate key"),
        ('{"a": ' + "9" * 500_000 + "}", "not a JSON object"),
        ('{"a": ' + "9" * 400 + "}", "integer beyond 53 bits"),
        ('{"a": NaN}', "the number NaN"),
        ('{"a": [-Infinity]}', "the number -Infinity"),
        ('{"a": 1e999}', "not finite"),
        (r'{"a": "\ud800"}', "control character"),
        (r'{"\u001b[2J": 1}', "control character"),
        ('{"a": "\xff"}', "not a JSON object"),
        ("[" + "[]," * 174_000 + "[]]", "a list"),
        ('{"a": [' + "{}," * 174_000 + "{}]}", "unknown format_version"),
        ('{"a": "' + "x" * 500_000 + '"}', "unknown format_version"),
        ("{" + ",".join(f'"{n:x}":0' for n in range(47_000)) + "}", "unknown format_version"),
    ],
)
def test_json_that_is_none_or_too_much(tmp_path: Path, content: str, message: str) -> None:
    bundle = crafted(tmp_path)
    (bundle / MANIFEST).write_bytes(content.encode("latin-1"))
    refused_bundle(bundle, message)


def test_the_worst_json_takes_little_memory(tmp_path: Path) -> None:
    bundle = crafted(tmp_path)
    (bundle / MANIFEST).write_text('{"a": [' + "{}," * 174_000 + "{}]}")
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="unknown format_version"):
            load_bundle(bundle)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES * 1e6


BIG = 2**52


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["input", "shape"], [BIG, BIG]),
        (["input", "shape"], [2**20, 2**20]),
        (["input", "shape"], [1] * 1000),
        (["input", "shape"], [True]),
        (["input", "dtype"], "O"),
        (["input", "dtype"], "V1000000000"),
        (["input", "dtype"], "f4,f4"),
        (["input", "dtype"], ["float32"]),
        (["target", "shape"], [2**40]),
        (["ways"], True),
        (["ways"], 10**9),
        (["ways"], 0),
        (["opset"], "20"),
        (["opset"], -1),
        (["inner_steps"], 1.0),
        (["least_support"], False),
        (["flops_per_step"], -1),
        (["state", 0, "name"], "../x\n"),
        (["state", 0, "name"], ""),
        (["state", 0, "name"], "x" * 1000),
        (["state", 0, "shape"], [1, BIG]),
        (["state", 0, "shape"], [1, 200_000]),
        (["state", 0, "dtype"], "float128"),
        (["files", INIT, "size"], 2**40),
        (["files", INIT, "size"], -1),
        (["files", INIT, "size"], "448900"),
        (["files", INIT, "sha256"], "0"),
        (["files", INIT, "sha256"], "g" * 64),
        (["files", INIT, "sha256"], ["0"] * 64),
        (["files", INIT, "mode"], 0),
        (["ops", "adapt.onnx"], [1]),
        (["ops"], {}),
        (["versions", "torch"], {}),
    ],
)
def test_a_value_that_asks_for_too_much_or_is_of_another_type(
    tmp_path: Path, path: list[Any], value: Any
) -> None:
    bundle = crafted(tmp_path)
    record = place = json.loads((bundle / MANIFEST).read_text())
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (bundle / MANIFEST).write_text(json.dumps(record))
    refused_bundle(bundle, "breaks the contract")


def test_state_tensors_without_end(tmp_path: Path) -> None:
    bundle = crafted(tmp_path)
    record = json.loads((bundle / MANIFEST).read_text())
    one = {"dtype": "uint8", "kind": "buffer", "per_class": False, "shape": []}
    record["state"] = [one | {"name": f"{n:x}"} for n in range(4097)]
    (bundle / MANIFEST).write_text(json.dumps(record, separators=(",", ":")))
    refused_bundle(bundle, "4097 state tensors")


@pytest.mark.parametrize("name", [MANIFEST, *PAYLOAD])
def test_a_file_that_is_a_link(tmp_path: Path, name: str) -> None:
    bundle = crafted(tmp_path)
    (bundle / name).rename(tmp_path / name)
    (bundle / name).symlink_to(tmp_path / name)
    refused_bundle(bundle, "a symbolic link")


@pytest.mark.parametrize("name", [MANIFEST, *PAYLOAD])
def test_a_file_that_is_a_pipe_or_a_directory(tmp_path: Path, name: str) -> None:
    bundle = crafted(tmp_path)
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    refused_bundle(bundle, "not a regular file")
    (bundle / name).unlink()
    (bundle / name).mkdir()
    refused_bundle(bundle, "not a regular file")


def test_a_bundle_behind_a_link_is_one(tmp_path: Path) -> None:
    """It is the user who names it; only inside, nothing leads out."""
    (tmp_path / "link").symlink_to(OMNIGLOT)
    assert load_bundle(tmp_path / "link").fingerprint == load_bundle(OMNIGLOT).fingerprint


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    bundle = crafted(tmp_path)
    os.truncate(bundle / INIT, 1 << 36)
    refused_bundle(bundle, f"{INIT} is damaged: got {1 << 36} bytes")


def test_a_record_that_json_cannot_hold_is_null() -> None:
    manifest = load_bundle(OMNIGLOT).manifest
    result = TrainingResult(ci95=float("nan"), preprocessing={"all": (1.0, float("inf"))})
    made = replace(manifest, training=TrainingRecord(result=result))
    again = Manifest.from_json(made.to_json())
    assert again.trained.result == TrainingResult(preprocessing={"all": [1.0, None]})


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"__metadata__":null}', "metadata that are no texts"),
        (b'{"__metadata__":{"a":1}}', "metadata that are no texts"),
        (b'{"__metadata__":{"a":"1","a":"2"}}', "duplicate key"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"x":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]}}\0', "F8_E4M3|header"),
        (b'{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}', "readable state"),
        (b'{"' + b"x" * (1 << 20) + b'":1}', "no header"),
    ],
)
def test_the_header_of_a_state(tmp_path: Path, header: bytes, message: str) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    runner = edgemeta.load("omniglot", threads=1)
    refused(lambda: runner.load(path), message)


def test_a_state_of_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.touch()
    os.truncate(path, 1 << 30)
    runner = edgemeta.load("omniglot", threads=1)
    refused(lambda: runner.load(path), "too large for a state")


def test_a_state_cannot_be_passed_off_as_another_bundles(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "state.safetensors"
    runner = edgemeta.load("omniglot", threads=1)
    foreign = {STATE_BUNDLE_KEY: "\x1b[2J" + "0" * 60, VERSION_KEY: "1"}
    save_file(runner.init.state_dict(), path, foreign)
    with pytest.raises(BundleError) as caught:
        runner.load(path)
    assert str(caught.value).isprintable()


PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def test_no_pickle_anywhere() -> None:
    """No module of the package imports pickle, or asks numpy or torch to unpickle."""
    looked_at = 0
    for path in [*ROOT.glob("edgemeta/**/*.py"), *ROOT.glob("export/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & PICKLES, path
            if isinstance(node, ast.Call):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                call = ast.unparse(node.func)
                assert given.get("allow_pickle", "False") == "False", (path, node.lineno)
                if call == "torch.load":
                    assert given["weights_only"] == "True", (path, node.lineno)
                    looked_at += 1
                if call in ("np.load", "numpy.load"):
                    assert given["allow_pickle"] == "False", (path, node.lineno)
                    looked_at += 1
                assert call not in ("eval", "exec"), (path, node.lineno)
    assert looked_at >= 3, "it found none of the calls that it is about"
