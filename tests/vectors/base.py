"""The small bundle that all vectors are variations of: its manifest, its init, its graphs."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import Any

from edgemeta.bundle import ADAPT, INIT, PREDICT, SELFTEST

INIT_BIN = struct.pack("<6f", 1, 2, 3, 4, 5, 6) + b"\0\1"
"""The state tensor "w" (2, 3), and two truth values."""

ACCEPT, BUNDLE, INPUT, ADAPTATION = "accept", "bundle", "input", "adaptation"


def manifest(**changes: Any) -> dict[str, Any]:
    """Return the record of a manifest, with some fields replaced."""
    files = {name: file_record(b"") for name in (ADAPT, PREDICT, SELFTEST)}
    return {
        "task": "classification",
        "ways": 2,
        "input": {"shape": [3], "dtype": "float32"},
        "target": {"shape": [], "dtype": "int64"},
        "algorithm": {"name": "maml", "inner_lr": 0.1},
        "inner_steps": 1,
        "least_support": 1,
        "state": [state_tensor()],
        "opset": 20,
        "ops": {ADAPT: ["Add", "Loop"], PREDICT: ["MatMul"]},
        "files": {**files, INIT: file_record(INIT_BIN)},
        "parity": {"atol": 1e-6, "rtol": 1e-5},
        "adapted_parameters": 6,
        "flops_per_step": 12,
        "peak_memory_bytes": 1000,
        "versions": {"edgemeta": "0.1.0"},
        "training": None,
        "tuned": None,
        "format_version": 1,
        **changes,
    }


def state_tensor(**changes: Any) -> dict[str, Any]:
    """Return the record of the state tensor, with some fields replaced."""
    plain = {"name": "w", "shape": [2, 3], "dtype": "float32", "kind": "parameter"}
    return plain | {"per_class": False} | changes


def shared(**changes: Any) -> dict[str, Any]:
    """Return the record of a manifest whose head is a shared one."""
    return manifest(state=[state_tensor(shape=[1, 3], per_class=True)], **changes)


def regression(**changes: Any) -> dict[str, Any]:
    """Return the record of a manifest of a regression."""
    target = {"shape": [1], "dtype": "float32"}
    return manifest(task="regression", ways=None, target=target, **changes)


def file_record(content: bytes) -> dict[str, Any]:
    """Return what a manifest says of a file."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def encoded(record: object) -> bytes:
    """Return a record as the content of a file."""
    return json.dumps(record, ensure_ascii=False).encode()


def text(content: bytes) -> str:
    """Return bytes as a request has them."""
    return base64.b64encode(content).decode()
