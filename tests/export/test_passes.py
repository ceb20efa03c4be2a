"""What the passes change, and that results stay the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgemeta.bundle import ADAPT
from edgemeta_export.passes.hoist import HoistPass
from tests.cases import CASE, Compile


def loop_model() -> onnx.ModelProto:
    """x, three times: y <- y + exp(x) * 2, where exp(x) * 2 does not change."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Exp", ["x"], ["e"]),
            helper.make_node("Mul", ["e", "two"], ["twice"]),
            helper.make_node("Add", ["y", "twice"], ["y_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y_next", TensorProto.FLOAT, [2]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["steps", "", "x"], ["out"], body=body)],
        "outer",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
            helper.make_tensor_value_info("steps", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, steps: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (out,) = session.run(None, {"x": np.array([1, 2], np.float32), "steps": np.array(steps)})
    return np.asarray(out)


def loop_of(model: ir.Model) -> ir.Graph:
    (loop,) = (node for node in model.graph if node.op_type == "Loop")
    return loop.attributes["body"].as_graph()


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_hoisting_moves_what_does_not_change_and_nothing_else(steps: int) -> None:
    before = loop_model()
    hoisted = HoistPass()(ir.from_proto(loop_model()))
    assert hoisted.modified
    assert [node.op_type for node in hoisted.model.graph] == ["Exp", "Mul", "Loop"]
    assert [node.op_type for node in loop_of(hoisted.model)] == ["Identity", "Add"]
    assert np.array_equal(run(ir.to_proto(hoisted.model), steps), run(before, steps))
    assert not HoistPass()(hoisted.model).modified


def test_the_support_set_is_prepared_once_not_once_per_step(compiled: Compile) -> None:
    path = compiled(CASE["conv4-group-max"]).runner.path / ADAPT
    model = ir.from_proto(onnx.load(path, load_external_data=False))
    body = loop_of(model)
    reads = {value.name for node in body for value in node.inputs if value is not None}
    assert "support_x" not in reads
    assert "support_y" not in reads
    outside = {node.op_type for node in model.graph}
    assert {"Cast", "Div", "Equal"} <= outside  # pixels to 0..1, labels to one-hot
