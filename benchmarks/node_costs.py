"""What single nodes cost on onnxruntime: the facts that the lowering relies on, measured again.

python -m benchmarks.node_costs [--threads 2] [--rounds 7]

Each fact names several ways to compute the same numbers, written as ONNX text. A way runs many
times in the body of a Loop, without onnxruntime's own optimizations: what is written is what is
timed, in memory that is as warm as in an adaptation. All ways of a fact run in alternating rounds
(see `benchmarks.timing`). Times are for comparison within a fact: another processor may differ.
Before it is timed, each way is compared with the first one of its fact.

Writes benchmarks/results/node_costs.md and .json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.timing import in_rounds, machine, markdown, relative_difference, write_json
from edgemeta.measure.bench import timed
from edgemeta_export.layout.convolution import Geometry
from edgemeta_export.layout.values import Grid
from edgemeta_export.layout.winograd import A, B, G, Tiles

RESULTS = Path(__file__).parent / "results"
SECONDS = 0.004  # that one call should take: so many turns of the Loop
MOST_TURNS = 1000
AGREE = 1e-4  # relative
TEXT = """
<ir_version: 10, opset_import: ["": 22, "com.microsoft": 1]>
costs (int64 turns, bool always, float start, {inputs}) => (float last)
{{
    last = Loop <body = turn (int64 number, bool going, float before) => (bool go_on, float y)
    {{
        go_on = Identity (going)
        {nodes}
    }}> (turns, always, start)
}}
"""
TYPES = {"float32": "float", "int64": "int64", "int32": "int32", "bool": "bool"}
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Way:
    """One way to compute something.

    Attributes:
        name: what the table calls it.
        nodes: ONNX text; the result is called y.
        exact: whether it computes the same numbers as the first way of its fact.
    """

    name: str
    nodes: str
    exact: bool = True


@dataclass(frozen=True)
class Fact:
    """A claim, the ways that it compares, and what they read."""

    name: str
    inputs: Arrays
    ways: Sequence[Way]
    flops: float = 0


def normal(*shape: int) -> NDArray[np.float32]:
    """Return fixed random numbers."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def session(fact: Fact, way: Way, threads: int) -> onnxruntime.InferenceSession:
    """Return a session that takes so many turns."""
    inputs = ", ".join(f"{TYPES[str(a.dtype)]} {name}" for name, a in fact.inputs.items())
    model = onnx.parser.parse_model(TEXT.format(inputs=inputs, nodes=way.nodes))
    for value in (*model.graph.input, *model.graph.output):
        if value.name not in ("turns", "always"):
            value.type.tensor_type.ClearField("shape")
    body = model.graph.node[0].attribute[0].g
    for value in (body.input[2], body.output[1]):
        value.type.tensor_type.ClearField("shape")
    for value in model.graph.input:
        if value.name in fact.inputs:
            for size in fact.inputs[value.name].shape:
                value.type.tensor_type.shape.dim.add().dim_value = size
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def measure(fact: Fact, threads: int, rounds: int) -> dict[str, float]:
    """Return the microseconds of each way.

    Raises:
        SystemExit: two ways of a fact compute different numbers.
    """
    sessions = {way.name: session(fact, way, threads) for way in fact.ways}
    feed = {**fact.inputs, "always": np.array(True), "start": np.array(0, np.float32)}

    def run(name: str, turns: int) -> NDArray[Any]:
        (made,) = sessions[name].run(None, {**feed, "turns": np.array(turns)})
        return np.asarray(made)

    first, *others = fact.ways
    want = run(first.name, 1)
    for way in others:
        got = run(way.name, 1)
        apart = relative_difference({"y": got.ravel()}, {"y": want.ravel()}) if way.exact else 0
        if apart > AGREE:
            raise SystemExit(f"{fact.name}: {way.name} is {apart:.0e} away from {first.name}")
    turns = {}
    for way in fact.ways:
        _, took = timed(partial(run, way.name, 3))
        turns[way.name] = int(np.clip(SECONDS / (took / 3), 2, MOST_TURNS))

    def contestant(name: str, calls: int) -> list[float]:
        return [timed(partial(run, name, turns[name]))[1] / turns[name] for _ in range(calls)]

    seconds = in_rounds({way.name: partial(contestant, way.name) for way in fact.ways}, rounds)
    return {name: float(np.median(each)) * 1e6 for name, each in seconds.items()}


def masks() -> Fact:
    """The gradient of ReLU on 5 images of 28x28 and 64 channels."""
    return Fact(
        "mask of a ReLU, 5x784x64",
        {"x": normal(5, 784, 64), "g": normal(5, 784, 64) + 1, "zero": np.array(0, np.float32)},
        [
            Way("Greater, Where", "m = Greater (x, zero) y = Where (m, g, zero)"),
            Way("Greater, Cast, Mul", "m = Greater (x, zero) c = Cast <to = 1> (m) y = Mul (c, g)"),
            Way(
                "HardSigmoid, Mul", "c = HardSigmoid <alpha = 3e38, beta = 0.0> (x) y = Mul (c, g)"
            ),
        ],
    )


def pooling() -> Fact:
    """Max pooling by 2x2 of 5 images of 28x28 and 64 channels."""
    half = "a, b = Split <axis = 1, num_outputs = 2> (x) m = Max (a, b)"
    return Fact(
        "max pooling by 2x2, 5x64x28x28",
        {"x": normal(5, 784, 64), "image": normal(5, 64, 28, 28)},
        [
            Way(
                "MaxPool with indices",
                "y, where = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (image)",
            ),
            Way("MaxPool", "y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (image)"),
            Way(
                "two levels of Max over sorted rows",
                half + " c, d = Split <axis = 1, num_outputs = 2> (m) y = Max (c, d)",
                exact=False,  # other pixels: the rows are not those of `image`
            ),
        ],
    )


def convolution(samples: int, channels: int, size: int) -> Fact:
    """A 3x3 convolution with weights that change, from rows of channels to rows of channels."""
    grid = Grid.natural((size, size))
    geometry = Geometry.of(grid, grid, (3, 3), (1, 1), (1, 1), (1, 1))
    tiles = Tiles.of(grid, grid, (1, 1))
    weight = normal(channels, channels, 3, 3)  # (O, C, 3, 3)
    pad = "none = Expand (zero, {0}) padded = Concat <axis = {1}> ({2}, none) "
    by_tiles = (
        "first = Transpose <perm = [1, 0, 2]> (rows) "
        + pad.format("one_pixel", 0, "first")
        + "inputs = Gather <axis = 0> (padded, reads) flat = Reshape (inputs, sixteen) "
        "mixed = MatMul (to_inputs, flat) v = Reshape (mixed, by_channels) "
        "spread = MatMul (to_weights, taps) u = Reshape (spread, squares) products = MatMul (v, u) "
        "m = Reshape (products, sixteen) out = MatMul (to_outputs, m) "
        "pixels = Reshape (out, tile_pixels) sorted = Gather <axis = 0> (pixels, places) "
        "y = Transpose <perm = [1, 0, 2]> (sorted)"
    )
    return Fact(
        f"3x3 convolution, {samples} samples, {channels} to {channels} channels, {size}x{size}",
        {
            "rows": normal(samples, size * size, channels),
            "matrix": weight.transpose(0, 2, 3, 1).reshape(channels, -1),
            "weight": weight,
            "zero": np.array(0, np.float32),
            "one_row": np.array([samples, 1, channels]),
            "one_pixel": np.array([1, samples, channels]),
            "index": geometry.taps.ravel(),
            "wide": np.array([-1, 9 * channels]),
            "back": np.array([samples, size * size, channels]),
            "picture": np.array([samples, channels, size, size]),
            "flat_picture": np.array([samples, channels, size * size]),
            "reads": tiles.reads.ravel(),
            "places": tiles.places,
            "sixteen": np.array([16, -1]),
            "by_channels": np.array([16, -1, channels]),
            "squares": np.array([16, channels, channels]),
            "tile_pixels": np.array([tiles.writes.size, -1, channels]),
            "taps": weight.transpose(2, 3, 1, 0).reshape(9, -1),
            "to_inputs": np.kron(B, B).T.astype(np.float32),
            "to_weights": np.kron(G, G).astype(np.float32),
            "to_outputs": np.ascontiguousarray(
                np.kron(A, A)[:, tiles.offsets @ [2, 1]].T, np.float32
            ),
        },
        [
            Way(
                "Conv, with a Transpose on either side",
                "a = Transpose <perm = [0, 2, 1]> (rows) b = Reshape (a, picture) "
                "c = Conv <pads = [1, 1, 1, 1]> (b, weight) d = Reshape (c, flat_picture) "
                "y = Transpose <perm = [0, 2, 1]> (d)",
            ),
            Way(
                "Gather of rows, Gemm",
                pad.format("one_row", 1, "rows")
                + "around = Gather <axis = 1> (padded, index) columns = Reshape (around, wide) "
                "made = Gemm <transB = 1> (columns, matrix) y = Reshape (made, back)",
            ),
            Way("tiles of 2x2 (Winograd)", by_tiles),
        ],
        flops=2 * samples * size * size * 9 * channels * channels,
    )


def weight_gradient() -> Fact:
    """The gradient of 3x3 weights from 25 samples of 14x14: which factor is transposed."""
    columns, grad = normal(4900, 288), normal(4900, 32)
    return Fact(
        "product of a gradient, (4900 x 288)^T (4900 x 32)",
        {
            "columns": columns,
            "grad": grad,
            "turned": np.ascontiguousarray(columns.T),
            "old": normal(288, 32) * 0,
            "old_turned": normal(32, 288) * 0,
        },
        [
            Way("Gemm, columns transposed", "y = Gemm <transA = 1> (columns, grad, old)"),
            Way(
                "Gemm, outer gradient transposed",
                "y = Gemm <transA = 1> (grad, columns, old_turned)",
                exact=False,  # the transposed result
            ),
            Way("MatMul of what lies right", "y = MatMul (turned, grad)"),
        ],
        flops=2 * 4900 * 288 * 32,
    )


def column_sums() -> Fact:
    """Sums over the rows of 3920 x 64: bias gradients and means."""
    return Fact(
        "sum over 3920 rows of 64",
        {
            "x": normal(3920, 64),
            "ones": np.ones((1, 3920), np.float32),
            "axis": np.array([0]),
            "old": np.zeros((1, 64), np.float32),
        },
        [
            Way("ReduceSum", "y = ReduceSum (x, axis)"),
            Way("MatMul with ones", "y = MatMul (ones, x)"),
            Way("Gemm with ones that adds", "y = Gemm (ones, x, old)"),
        ],
    )


def per_channel() -> Fact:
    """A scale and a shift for each channel of 3920 x 64."""
    ones, zeros = np.ones(64, np.float32), np.zeros(64, np.float32)
    return Fact(
        "scale and shift of each channel, 3920 x 64",
        {
            "x": normal(3920, 64),
            "scale": normal(64),
            "shift": normal(64),
            "one": ones,
            "zero": zeros,
        },
        [
            Way("Mul, Add", "a = Mul (x, scale) y = Add (a, shift)"),
            Way(
                "BatchNormalization",
                "y = BatchNormalization <epsilon = 0.0> (x, scale, shift, zero, one)",
            ),
            Way("one Mul of equal shapes", "y = Mul (x, x)", exact=False),
        ],
    )


def depthwise() -> Fact:
    """A depthwise 3x3 convolution of 5 samples of 25x5 with 64 channels."""
    x, w = normal(5, 64, 25, 5), normal(64, 1, 3, 3)
    band = np.zeros((3, 3, 5, 5, 3), np.float32)  # across, along, out, read, tap
    for across in range(3):
        for out in range(5):
            if 0 <= (read := out + across - 1) < 5:
                band[across, range(3), out, read, range(3)] = 1
    taps = w[:, 0].transpose(0, 2, 1).reshape(64, 9)  # (C, across * along)
    strip = np.zeros((64, 5, 5, 26), np.float32)  # channels, short, samples, long + a zero
    strip[..., :25] = x.transpose(1, 3, 0, 2)
    return Fact(
        "depthwise 3x3 convolution, 5 samples, 64 channels, 25x5",
        {
            "x": x,
            "w": w,
            "strip": strip.reshape(1, 64 * 5, -1),
            "taps": taps,
            "band": band.reshape(9, -1),
            "filters": np.array([64 * 5, 5, 3]),
        },
        [
            Way("grouped Conv", "y = Conv <group = 64, pads = [1, 1, 1, 1]> (x, w)"),
            Way(
                "banded 1-d Conv over one long strip",
                "spread = MatMul (taps, band) f = Reshape (spread, filters) "
                "y = Conv <group = 64, pads = [1, 1]> (strip, f)",
                exact=False,  # the same numbers in another order, with separators between
            ),
        ],
    )


def single_nodes() -> Fact:
    """What a node costs that has nothing to do."""
    return Fact(
        "a node on 64 numbers",
        {"x": normal(64), "shape": np.array([8, 8]), "one": np.array(1, np.float32)},
        [
            Way("Add", "y = Add (x, x)"),
            Way("Mul by a number", "y = Mul (x, one)", exact=False),
            Way("Reshape", "y = Reshape (x, shape)", exact=False),
            Way(
                "ten times Add", "a = Add (x, x) " + chain("Add", 8) + "y = Add (i, x)", exact=False
            ),
        ],
    )


def chain(op: str, count: int) -> str:
    """Return nodes of one kind, each of which reads the one before, called a, b, ..."""
    names = "abcdefghijkl"
    return "".join(f"{names[k + 1]} = {op} ({names[k]}, x) " for k in range(count))


def facts() -> list[Fact]:
    """Return everything that is measured."""
    return [
        masks(),
        pooling(),
        convolution(5, 32, 14),
        convolution(25, 32, 14),
        convolution(5, 64, 14),
        convolution(5, 160, 42),
        weight_gradient(),
        column_sums(),
        per_channel(),
        depthwise(),
        single_nodes(),
    ]


def table(results: dict[str, Any]) -> str:
    """Return the results as markdown."""
    rows = []
    for name, found in results["facts"].items():
        slowest = max(found["us"].values())
        for way, us in found["us"].items():
            rate = f"{found['flops'] / us / 1e3:.0f}" if found["flops"] else ""
            rows.append([name, way, f"{us:.1f}", f"{us / slowest:.2f}", rate])
            name = ""
    return markdown(["fact", "way", "us", "of the slowest", "GFLOP/s"], rows)


@click.command(help="Measure what single nodes cost on onnxruntime.")
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--out", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(threads: int, rounds: int, out: Path) -> None:
    """Measure all facts, print them as they come, and write table and JSON."""
    results: dict[str, Any] = {"machine": machine(threads), "rounds": rounds, "facts": {}}
    for fact in facts():
        us = measure(fact, threads, rounds)
        results["facts"][fact.name] = {"us": us, "flops": fact.flops}
        click.echo(f"{fact.name}: " + ", ".join(f"{way} {t:.1f}" for way, t in us.items()))
        write_json(out / "node_costs.json", results)
    (out / "node_costs.md").write_text(table(results) + "\n")
    click.echo("\n" + table(results))


if __name__ == "__main__":
    main()
