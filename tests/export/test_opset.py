"""Graphs in other opsets: the same results, or a refusal that names every obstacle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgemeta.bundle import ADAPT, PREDICT, QUERY_X, next_name
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta_export.opset import OLDEST, newest_opset, to_opset
from edgemeta_export.opset_adapters import ADAPTERS
from edgemeta_export.recorded_episode import ATOL, RTOL
from tests.cases import CASE, Compile

Tensors = dict[str, NDArray[Any]]

# Opset 20 and after is what the compiler writes and what differs least; below are the old runtimes.
OPSETS = [OLDEST, 18, 19, 21, newest_opset()]


def run(model: onnx.ModelProto, given: Mapping[str, NDArray[Any]]) -> Tensors:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(given)), strict=True))


def convert(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Convert, and check the result against the schemas of its opset."""
    converted = ir.to_proto(to_opset(ir.from_proto(model), opset))
    onnx.checker.check_model(converted, full_check=True)
    assert {entry.version for entry in converted.opset_import} == {opset}
    return converted


def assert_same(got: Tensors, want: Tensors) -> None:
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        # The same arithmetic, which onnxruntime may fuse in another way: as from PyTorch. In
        # float16 one rounding more or less in the last place.
        rtol = RTOL if tensor.dtype != np.float16 else float(np.finfo(np.float16).eps)
        limit = ATOL + rtol * float(np.abs(tensor).max())
        np.testing.assert_allclose(got[name], tensor, rtol=0, atol=limit, err_msg=name)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", ["conv4-support-max", "mlp-sinusoid"])
def test_a_bundle_computes_the_same(compiled: Compile, name: str, opset: int) -> None:
    made = compiled(CASE[name])
    x, y = made.case.samples(6, seed=3)
    adapt, predict = (onnx.load(made.runner.path / file) for file in (ADAPT, PREDICT))
    given = {
        "support_x": x,
        "support_y": y,
        "steps": np.array(2),
        "lr_scale": np.array(1, np.float32),
    }
    want = run(adapt, given)
    assert_same(run(convert(adapt, opset), given), want)

    # The state is still an input with the init for default.
    state = {tensor.name: want[next_name(tensor.name)] for tensor in made.runner.manifest.state}
    converted = convert(predict, opset)
    assert_same(run(converted, {QUERY_X: x}), run(predict, {QUERY_X: x}))
    assert_same(run(converted, {QUERY_X: x} | state), run(predict, {QUERY_X: x} | state))


@dataclass(frozen=True)
class Row:
    """One node on an input `x`, in the body of a Loop, its constants outside."""

    op: str
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = (2, 3, 5, 4)
    dtype: type = np.float32
    outputs: int = 1
    free: bool = False  # whether the graph leaves the shape of `x` open

    def __str__(self) -> str:
        return "-".join([self.op, *self.constants, *self.attributes, *["free"] * self.free])

    def model(self) -> onnx.ModelProto:
        """Build a Loop that stacks what the node makes in each of its steps, as flat rows."""
        value, kind = helper.make_tensor_value_info, helper.np_dtype_to_tensor_dtype
        dtype = kind(np.dtype(self.dtype))
        outputs = [f"y{place}" for place in range(self.outputs)]
        rows = [f"{name}_row" for name in outputs]
        constants = {**self.constants, "flat": np.array([-1]), "steps": np.array(2)}
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["go_on"]),
                helper.make_node(self.op, ["x", *self.constants], outputs, **self.attributes),
                *(
                    helper.make_node("Reshape", [name, "flat"], [row])
                    for name, row in zip(outputs, rows, strict=True)
                ),
            ],
            "body",
            [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, [])],
            [
                value("go_on", TensorProto.BOOL, []),
                *(value(row, dtype, ["n"]) for row in rows),
            ],
        )
        stacked = [f"{name}_stacked" for name in outputs]
        graph = helper.make_graph(
            [helper.make_node("Loop", ["steps", ""], stacked, body=body)],
            "outer",
            [value("x", dtype, [None if self.free else length for length in self.shape])],
            [value(name, dtype, ["steps", "n"]) for name in stacked],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        imports = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=imports, ir_version=10)

    def sample(self) -> Tensors:
        """Positive values, as logarithms want them."""
        return {"x": np.random.default_rng(0).uniform(0.5, 2, self.shape).astype(self.dtype)}


AXES = {"axes": np.array([1, -1])}
ROWS = [
    *(Row(op, AXES, {"keepdims": 0}) for op in ADAPTERS if op.startswith("Reduce")),
    Row("ReduceMean"),
    Row("ReduceMax", AXES, {"noop_with_empty_axes": 1}),
    Row("ReduceSum", AXES),  # had its axes as an input before
    Row(
        "Pad",
        {
            "pads": np.array([1, 2, 0, 3]),
            "value": np.array(7, np.float32),
            "axes": np.array([-1, 1]),
        },
    ),
    Row("Pad", {"pads": np.array([0, 0, 1, 0, 0, 0, 0, 2])}, {"mode": "reflect"}),
    Row("Split", attributes={"num_outputs": 3, "axis": 2}, outputs=3),  # 5 = 2 + 2 + 1
    Row("Split", attributes={"num_outputs": 3, "axis": 2}, outputs=3, free=True),
    Row("Split", attributes={"num_outputs": 2, "axis": -1}, outputs=2, free=True),
    Row("Split", {"sizes": np.array([1, 4])}, {"axis": 2}, outputs=2),
    Row("Gelu"),
    Row("Gelu", attributes={"approximate": "tanh"}, dtype=np.float16),
    Row("Mish"),
    Row("CastLike", {"like": np.array(0, np.float32)}, {"saturate": 1}),
    Row("AveragePool", attributes={"kernel_shape": [2, 2], "dilations": [1, 1]}),
    Row(
        "Resize",
        {"roi": np.zeros(0, np.float32), "scales": np.array([1, 1, 2, 2], np.float32)},
        {"mode": "linear", "antialias": 0},
    ),
]


@pytest.mark.parametrize("opset", [OLDEST, newest_opset()])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_node_in_a_loop_computes_the_same(row: Row, opset: int) -> None:
    model = row.model()
    assert_same(run(convert(model, opset), row.sample()), run(model, row.sample()))


def test_every_adapter_has_a_row() -> None:
    assert {row.op for row in ROWS} >= ADAPTERS.keys()


REFUSED = [
    (Row("BitwiseNot", dtype=np.uint8), "BitwiseNot (not in that opset)"),
    (Row("ReduceMax", AXES, dtype=np.bool_), "ReduceMax (not for tensor(bool))"),
    (
        Row("ReduceMean", {"axes": np.zeros(0, np.int64)}, {"noop_with_empty_axes": 1}),
        "ReduceMean (with noop_with_empty_axes)",
    ),
    (
        Row("Pad", {"pads": np.ones(8, np.int64)}, {"mode": "wrap"}),
        "Pad (mode=wrap since opset 19)",
    ),
    (
        Row(
            "Resize",
            {"roi": np.zeros(0, np.float32), "scales": np.full(4, 0.5, np.float32)},
            {"mode": "linear", "antialias": 1},
        ),
        "Resize (no attribute antialias)",
    ),
    (
        Row("GridSample", {"grid": np.zeros((2, 1, 1, 2), np.float32)}),
        "GridSample (another op since opset 20)",
    ),
]


@pytest.mark.parametrize(("row", "text"), REFUSED, ids=lambda value: str(value))
def test_what_an_old_opset_lacks_is_refused(row: Row, text: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        to_opset(ir.from_proto(row.model()), OLDEST)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def two_obstacles() -> onnx.ModelProto:
    """Padding in a new way, and a mean over axes that only the caller knows."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "pads"], ["padded"], mode="wrap"),
            helper.make_node("ReduceMean", ["padded", "axes"], ["y"]),
        ],
        "two",
        [value("x", TensorProto.FLOAT, [2, 3]), value("axes", TensorProto.INT64, [1])],
        [value("y", TensorProto.FLOAT, ["n", "m"])],
        [
            numpy_helper.from_array(np.array([1, 0, 0, 0]), "pads"),
            # A default that the caller may override is no constant.
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_all_obstacles_are_named_at_once() -> None:
    with pytest.raises(
        UnsupportedModelError,
        match=r"Pad \(mode=wrap since opset 19\), ReduceMean \(axes that are not constant\)",
    ):
        to_opset(ir.from_proto(two_obstacles()), OLDEST)


def test_the_model_given_stays_as_it_was() -> None:
    model = ir.from_proto(Row("Gelu").model())
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    to_opset(model, OLDEST)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("opset", [OLDEST - 1, newest_opset() + 1])
def test_an_opset_out_of_range_is_refused(opset: int) -> None:
    with pytest.raises(InputError, match=f"expected {OLDEST} to {newest_opset()}"):
        to_opset(ir.from_proto(Row("Gelu").model()), opset)


def test_constants_that_became_attributes_are_gone(compiled: Compile) -> None:
    path: Path = compiled(CASE["mlp-classes"]).runner.path / ADAPT
    model = convert(onnx.load(path), OLDEST)
    read = {name for node in ir.from_proto(model).graph.all_nodes() for name in names_read(node)}
    assert {tensor.name for tensor in model.graph.initializer} <= read


def names_read(node: ir.Node) -> set[str | None]:
    return {value.name for value in node.inputs if value is not None}
