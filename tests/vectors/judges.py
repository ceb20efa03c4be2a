"""Who judges: Python's own readers, and processes that speak for those of the other languages.

A judge reads frames: 4 bytes with a length, little-endian, and so many bytes of JSON, a request. To
each it answers with a line of JSON: the verdict, why, and facts. A frame of length 0 ends it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self, cast

import numpy as np

from edgemeta import BundleError, InputError
from edgemeta.bundle import Manifest
from edgemeta.bundle._tensor_file import digest, read_tensors
from edgemeta.bundle.loading import checked_graph
from edgemeta.bundle.state import Label, labels_text, parse_state
from edgemeta.device.familiarity import familiarity
from edgemeta.device.guard import AdaptationError, check_progress
from edgemeta.device.inputs import is_finite
from edgemeta.device.learner import Learner
from edgemeta.estimators._calibration import find_temperature
from tests.vectors import Vector

ROOT = Path(__file__).parents[2]
LENGTH_BYTES = 4
COMMANDS = {
    "cpp": ("build/cpp/edgemeta-judge",),
    "cpp-m32": ("build/m32/edgemeta-judge",),
    "node": ("node", "export/web/test/judge.mjs"),
}
"""What starts a judge, in the project's root."""

BUILT = {
    "cpp": ("build/cpp/edgemeta-judge", "cpp"),
    "cpp-m32": ("build/m32/edgemeta-judge", "m32"),
    "node": ("export/web/dist/lib", "web"),
}
"""What is there once a judge was built, and the target that builds it."""

Answer = Mapping[str, Any]


def absent(language: str) -> str | None:
    """Return why a language's judge cannot be asked; None if it can."""
    path, target = BUILT[language]
    return None if (ROOT / path).exists() else f"not built: no {path}; run `make {target}`"


def python(request: Mapping[str, Any]) -> Answer:
    """Judge a request with Python's readers."""
    try:
        return {"verdict": "accept", **_KINDS[request["kind"]](request)}
    except (BundleError, InputError, AdaptationError) as error:
        verdict = {BundleError: "bundle", InputError: "input", AdaptationError: "adaptation"}
        return {"verdict": verdict[type(error)], "why": str(error)}


def agreed(language: str, vectors: Sequence[Vector]) -> list[bool]:
    """Return for each vector whether the judge of a language says what it should."""
    if language == "python":
        return [vector.fits(python(vector.request)) for vector in vectors]
    with Judge(COMMANDS[language]) as judge:
        return [vector.fits(judge(vector.request)) for vector in vectors]


class Judge:
    """A process that judges.

    Args:
        command: what starts it, in the project's root.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, request: Mapping[str, Any]) -> Answer:
        """Judge one request.

        Raises:
            EOFError: the process has died of it.
        """
        (answer,) = self.all([request])
        return answer

    def all(self, requests: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Judge requests, whose answers fit into a pipe."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for request in requests:
            content = json.dumps(request).encode()
            self._process.stdin.write(len(content).to_bytes(LENGTH_BYTES, "little") + content)
        self._process.stdin.flush()
        lines = [self._process.stdout.readline() for _ in requests]
        if not all(lines):
            raise EOFError(f"the judge died with exit code {self._process.wait()}")
        return [json.loads(line) for line in lines]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it has not ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is None:
            self._process.stdin.write(b"\0" * LENGTH_BYTES)
            self._process.stdin.close()
            self._process.wait()
        self._process.stdout.close()


def _bytes(request: Mapping[str, Any], key: str) -> bytes:
    return base64.b64decode(request[key])


def _manifest(request: Mapping[str, Any]) -> Answer:
    found = Manifest.from_json(_bytes(request, "content"))
    labels = None if found.labels is None else list(found.labels)
    names = [tensor.name for tensor in found.state]
    return {"task": found.task, "ways": found.ways, "labels": labels, "state": names}


def _graph(request: Mapping[str, Any]) -> Answer:
    manifest = Manifest.from_json(_bytes(request, "manifest"))
    content, init = _bytes(request, "content"), _bytes(request, "init")
    checked_graph(Path(request["name"]), content, init, manifest)
    return {"ops": sorted(set(manifest.ops[request["name"]]))}


def _state(request: Mapping[str, Any]) -> Answer:
    content = _bytes(request, "manifest")
    manifest, fingerprint = Manifest.from_json(content), hashlib.sha256(content).hexdigest()
    found = parse_state(_bytes(request, "content"), Path("state"), manifest, fingerprint)
    hashes = {name: hashlib.sha256(t.tobytes()).hexdigest() for name, t in found.tensors.items()}
    labels = None if found.labels is None else list(found.labels)
    return {"ways": found.ways, "labels": labels, "tensors": hashes}


def _labels(request: Mapping[str, Any]) -> Answer:
    labels_text(cast(Sequence[Label], json.loads(request["labels"])))
    return {}


def _digest(request: Mapping[str, Any]) -> Answer:
    metadata, tensors = read_tensors(_bytes(request, "content"))
    return {"digest": digest(tensors, metadata)}


def _guard(request: Mapping[str, Any]) -> Answer:
    targets = request["targets"]
    state = [np.array(tensor, np.float32) for tensor in request["state"]]
    after = SimpleNamespace(
        losses=np.array(request["losses"], np.float32),
        ways=2 if targets is None else None,
        _is_finite=lambda: all(map(is_finite, state)),
    )
    y = np.zeros(1, np.int64) if targets is None else np.array(targets, np.float32)
    check_progress(cast(Learner, None), cast(Learner, after), y)
    return {}


def _temperature(request: Mapping[str, Any]) -> Answer:
    return {"temperature": find_temperature(np.array(request["logits"]), np.array(request["y"]))}


def _familiarity(request: Mapping[str, Any]) -> Answer:
    logits, reference = (np.array(request[key]) for key in ("logits", "reference"))
    own = np.array(request["own"], np.float32)
    return {"familiarity": familiarity(logits, reference, own).tolist()}


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
    "manifest": _manifest,
    "graph": _graph,
    "state": _state,
    "labels": _labels,
    "digest": _digest,
    "guard": _guard,
    "temperature": _temperature,
    "familiarity": _familiarity,
}
