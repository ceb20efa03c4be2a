"""What is fuzzed: seeds, a reader, and what must hold of whatever the reader accepts."""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import save

from edgemeta import BundleError
from edgemeta.bundle import (
    ADAPT,
    INIT,
    MANIFEST,
    MAX_BYTES,
    PREDICT,
    SELFTEST,
    Manifest,
    StateTensor,
    TensorSpec,
)
from edgemeta.bundle._onnx_check import Graph, check_graph
from edgemeta.bundle._tensor_file import read_tensors
from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import Sampled, parse_selftest
from edgemeta.bundle.state import read_state, write_state
from edgemeta.device.packaged import BUNDLES
from edgemeta_export.recording import sampled
from tests.fuzz.mutations import (
    Mutate,
    by_bytes,
    json_by_structure,
    onnx_by_structure,
    safetensors_by_structure,
)

BUNDLE = BUNDLES / "omniglot"
WAYS = 3
IN_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108


@dataclass(frozen=True)
class Target:
    """One sort of file.

    Attributes:
        seeds: returns good files.
        accepts: feeds bytes to the reader: False if it refuses them as it should; raises what
            the reader lets through, and AssertionError where it accepts what it must not.
        mutate: changes a file by its structure.
    """

    seeds: Callable[[], list[bytes]]
    accepts: Callable[[bytes], bool]
    mutate: Mutate

    def mutated(self, content: bytes, rng: random.Random) -> bytes:
        """Change a file by its structure or by its bytes, or both."""
        way = rng.random()
        content = self.mutate(content, rng) if way < 0.7 else content
        return by_bytes(content, rng) if way > 0.5 else content


@cache
def bundle_of_seeds() -> tuple[Manifest, str]:
    """Return manifest and fingerprint of the bundle that the seeds are from."""
    return read_manifest(BUNDLE)


def manifest() -> Manifest:
    """Return its manifest."""
    return bundle_of_seeds()[0]


def accepts_manifest(content: bytes) -> bool:
    """Whether it is a manifest; then it is in all things one that can be used."""
    try:
        found = Manifest.from_json(content)
    except BundleError as error:
        return _refused(error)
    assert Manifest.from_json(found.to_json()) == found
    assert found.state
    assert all(record.size <= MAX_BYTES[name] for name, record in found.files.items())
    specs: list[TensorSpec | StateTensor] = [found.input, found.target, *found.state]
    for spec in specs:
        np.empty((0, *spec.shape), spec.dtype)
    assert all(t.name.isprintable() and t.name.encode() for t in found.state)
    return True


@cache
def saved_state() -> tuple[dict[str, NDArray[Any]], bytes]:
    """Return a state, and the file that holds it."""
    rng = np.random.default_rng(0)
    state = {
        tensor.name: rng.normal(size=tensor.shape_at(WAYS)).astype(tensor.dtype)
        for tensor in manifest().state
    }
    path = _folder() / "seed"
    write_state(path, state, bundle_of_seeds()[1], WAYS)
    return state, path.read_bytes()


def accepts_state(content: bytes) -> bool:
    """Whether it is a state file; then it holds what was saved, to the bit."""
    path = _folder() / "state"
    path.write_bytes(content)
    try:
        found = read_state(path, manifest(), bundle_of_seeds()[1])
    except BundleError as error:
        return _refused(error)
    expected, _ = saved_state()
    assert (found.ways, found.extra, found.notes) == (WAYS, {}, None)
    assert found.tensors.keys() == expected.keys()
    for name, tensor in found.tensors.items():
        assert tensor.tobytes() == expected[name].tobytes()
    return True


def selftests() -> list[bytes]:
    """Return a selftest whose results are whole, and the same with samples of the largest."""
    whole = (BUNDLE / SELFTEST).read_bytes()
    _, tensors = read_tensors(whole)
    name = max((n for n in tensors if n.endswith(".next")), key=lambda n: tensors[n].size)
    return [whole, save(tensors | sampled(name, tensors.pop(name), np.random.default_rng(0)))]


def accepts_selftest(content: bytes) -> bool:
    """Whether it is a selftest; then all its shapes fit together."""
    try:
        found = parse_selftest(content, manifest())
    except ValueError:
        return False
    samples, queries = len(found.support_x), len(found.query_x)
    assert found.support_x.shape == (samples, 28, 28)
    assert found.support_y.shape == (samples,)
    assert found.query_x.shape == (queries, 28, 28)
    assert found.losses.shape == (found.steps + 1,)
    assert found.prediction.shape[0] == queries
    ways = found.prediction.shape[1]
    for tensor in manifest().state:
        result = found.state[tensor.name]
        assert result.shape == tensor.shape_at(ways)
        if isinstance(result, Sampled):
            assert len(result.values) == len(result.places) == len(result.rms)
            assert np.zeros(result.shape).reshape(-1)[result.places].size == result.places.size
            assert np.isfinite([result.values, result.rms]).all()
    assert np.isfinite(found.lr_scale)
    return True


def accepts_graph(content: bytes) -> bool:
    """Whether it is a graph; then protobuf's own parser finds in it what our reader found."""
    found = graph_of(content)
    if found is None:
        return False
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception:  # protobuf is stricter in what our reader has no use for
        return True
    assert {op.domain for op in model.opset_import} == {""}
    assert not model.functions
    assert not model.training_info
    nodes, tensors = [], []
    for graph in _graphs(model.graph):
        nodes += graph.node
        tensors += [(graph is model.graph, tensor) for tensor in graph.initializer]
        assert not graph.sparse_initializer
    for node in nodes:
        assert node.domain == ""
        for attribute in node.attribute:
            tensors += [(False, tensor) for tensor in (attribute.t, *attribute.tensors)]
            assert not attribute.HasField("sparse_tensor")
            assert not attribute.sparse_tensors
    assert found.ops == {node.op_type for node in nodes}
    external = found.external()
    for is_outer, tensor in tensors:
        if tensor.data_location or tensor.external_data:
            said = {entry.key: entry.value for entry in tensor.external_data}
            assert is_outer
            assert said["location"] == INIT
            assert int(said["offset"]) == external[tensor.name].offset
            assert tuple(tensor.dims) == external[tensor.name].shape
    assert sum(tensor.data_location for _, tensor in tensors) == len(external)
    return True


def _refused(error: BundleError) -> bool:
    """Return False; whatever the file holds, what is said of it is one line of some length."""
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    return False


def graph_of(content: bytes) -> Graph | None:
    """Return what our reader finds in one of the bundle's two graphs; None if it refuses."""
    for name in (ADAPT, PREDICT):
        with contextlib.suppress(ValueError):
            return check_graph(content, name, manifest())
    return None


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(dir=IN_MEMORY)
    _KEPT.append(folder)
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def _files(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(BUNDLE / name).read_bytes() for name in names]


TARGETS = {
    "manifest": Target(_files(MANIFEST), accepts_manifest, json_by_structure),
    "state": Target(lambda: [saved_state()[1]], accepts_state, safetensors_by_structure),
    "selftest": Target(selftests, accepts_selftest, safetensors_by_structure),
    "graph": Target(_files(ADAPT, PREDICT), accepts_graph, onnx_by_structure),
}
