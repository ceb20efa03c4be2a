"""A bundle with what the compiler takes over from other people's graphs: ops, types, subgraphs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from edgemeta.bundle import ADAPT, INIT, PREDICT, FileRecord
from edgemeta_export import export_bundle
from edgemeta_export.bodies import graphs_in
from tests.manifests import rewrite

TYPES = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
}
THEIRS = "theirs/"
SAMPLE = 16
WORDS = 3

OPS = """
image = Cast <to = 1> (floats)
quantized = QuantizeLinear (image, scale, zero)
kernel = DequantizeLinear (weight, scale, signed_zero)
convolved = QLinearConv (quantized, scale, zero, weight, scale, signed_zero, scale, zero)
dynamic, by, at = DynamicQuantizeLinear (image)
integers = ConvInteger (dynamic, weight, at)
flat = Flatten (dynamic)
row = Gather <axis = 1> (flat, columns)
products = MatMulInteger (row, matrix, at)
sequence = Cast <to = 1> (sequence16)
read, hidden, cell = LSTM <hidden_size = 2> (sequence, w, r)
many = Cast <to = 1> (integers)
more = Cast <to = 1> (products)
a = ReduceMax <keepdims = 0> (many)
b = ReduceMax <keepdims = 0> (more)
c = ReduceMax <keepdims = 0> (read)
d = ReduceMax <keepdims = 0> (kernel)
e1 = DequantizeLinear (convolved, scale, zero)
e = ReduceMax <keepdims = 0> (e1)
always = Cast <to = 9> (one)
f = If (always) <
  then_branch = chosen () => (float branch) { branch = Add (a, b) },
  else_branch = other () => (float unused) { unused = Sub (a, b) }
>
last, scanned = Scan <
  num_scan_inputs = 1,
  body = add_up (float so_far, float turn) => (float next, float out) {
    next = Add (so_far, turn)
    out = Identity (next)
  }
> (c, turns)
sum = Sum (d, e, f, last)
nothing = Constant <value_float = 0.0> ()
zero_of_all = Mul (sum, nothing)
"""
"""Ends in a zero that no runtime can know before it has computed all of it."""

CONSTANTS: dict[str, NDArray[np.generic]] = {
    "floats": np.linspace(-1, 1, 16).astype(np.float16).reshape(1, 1, 4, 4),
    "scale": np.array(0.02, np.float32),
    "zero": np.array(128, np.uint8),
    "signed_zero": np.array(0, np.int8),
    "weight": np.arange(-4, 5, dtype=np.int8).reshape(1, 1, 3, 3),
    "columns": np.arange(16)[::-1].astype(np.int64),
    "matrix": np.arange(32, dtype=np.int8).reshape(16, 2),
    "sequence16": np.linspace(0, 1, 12).astype(np.float16).reshape(4, 1, 3),
    "w": np.full((1, 8, 3), 0.1, np.float32),
    "r": np.full((1, 8, 2), 0.1, np.float32),
    "one": np.array(1, np.int32),
    "turns": np.ones(3, np.float32),
}
"""Initializers in `init.bin`, under names that no torch module has.

None of them is a shape: onnxruntime infers shapes before it sees `init.bin`, so those stay inline.
"""


class Loudness(nn.Module):
    """Classifies raw waveforms of 16 bits."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SAMPLE, WORDS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, SAMPLE) int16 -> (N, WORDS)."""
        scores: Tensor = self.head(x.float() / 2**15)
        return scores


def waveforms(count: int, seed: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Return (count, SAMPLE) samples and their labels."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2**15), 2**15, (count, SAMPLE), dtype=np.int16)
    return x, np.arange(count) % WORDS


def foreign_bundle(folder: Path) -> Path:
    """Export a classifier of int16 waveforms, and add to its graphs what others write."""
    torch.manual_seed(0)
    x, y = waveforms(6, seed=0)
    path = export_bundle(
        Loudness(), folder / "foreign", x, inner_lr=0.5, inner_steps=2, example_y=y
    )
    init, places = (path / INIT).read_bytes(), {}
    for name, array in CONSTANTS.items():
        init += bytes(-len(init) % 64)
        places[name] = len(init)
        init += array.tobytes()
    (path / INIT).write_bytes(init)
    ops = {}
    for name, output in ((ADAPT, "losses"), (PREDICT, "logits")):
        model = onnx.load(path / name, load_external_data=False)
        _add(model.graph, output, places)
        (path / name).write_bytes(model.SerializeToString())
        ops[name] = sorted({n.op_type for g in graphs_in(model.graph) for n in g.node})
    made = {name: FileRecord.of((path / name).read_bytes()) for name in (ADAPT, PREDICT, INIT)}

    def change(record: dict[str, Any]) -> None:
        record["ops"] |= ops
        record["files"] |= {name: asdict(each) for name, each in made.items()}

    rewrite(path, change)
    return path


def _add(graph: onnx.GraphProto, output: str, places: dict[str, int]) -> None:
    """Add `OPS` to a graph, and the zero that they end in to one of its outputs."""
    for node in graph.node:
        for k, made in enumerate(node.output):
            if made == output:
                node.output[k] = f"{output}/bare"
    text = f'<ir_version: 10, opset_import: ["" : 20]> g () => (float zero_of_all) {{{OPS}}}'
    added = onnx.parser.parse_model(text).graph
    for each in graphs_in(added):  # the graph's own values have short names
        for value in (*each.input, *each.output):
            value.name = THEIRS + value.name
        for node in each.node:
            for names in (node.input, node.output):
                names[:] = [THEIRS + name for name in names]
    graph.node.extend(added.node)
    summed = helper.make_node("Add", [f"{output}/bare", f"{THEIRS}zero_of_all"], [output])
    graph.node.append(summed)
    for name, array in CONSTANTS.items():
        tensor = graph.initializer.add(
            name=THEIRS + name, data_type=TYPES[array.dtype.name], dims=array.shape
        )
        tensor.data_location = TensorProto.EXTERNAL
        said = (("location", INIT), ("offset", places[name]), ("length", array.nbytes))
        for key, value in said:
            tensor.external_data.add(key=key, value=str(value))
