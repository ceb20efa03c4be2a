"""Small models as text, and what passes do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

HEADER = '<ir_version: 10, opset_import: ["": 20]>\n'


def parse(text: str) -> ir.Model:
    """Read a graph in ONNX's textual form."""
    proto = onnx.parser.parse_model(HEADER + text)
    onnx.checker.check_model(proto)
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def run(model: ir.Model, feed: Mapping[str, Any]) -> list[NDArray[Any]]:
    """Run a model on onnxruntime, without its own optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return [np.asarray(array) for array in session.run(None, dict(feed))]


def cleaned(model: ir.Model, *passes: ir.passes.PassBase) -> ir.Model:
    """Run passes, and drop what nobody reads any more."""
    every = (*passes, ir.passes.common.RemoveUnusedNodesPass())
    return ir.passes.Sequential(*every)(model).model


def ops(graph: ir.Graph) -> Counter[str]:
    """Count the nodes of a graph by kind, its subgraphs not included."""
    return Counter(node.op_type for node in graph)


def loop_body(model: ir.Model) -> ir.Graph:
    """Return what the only Loop of a model repeats."""
    (loop,) = (node for node in model.graph if node.op_type == "Loop")
    return loop.attributes["body"].as_graph()


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
