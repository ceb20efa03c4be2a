"""Small ONNX files such as people have: written as text, in onnx's own notation."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser

WIDTH, FEATURES = 6, 8


def weights(**shapes: tuple[int, ...]) -> list[onnx.TensorProto]:
    """Return random weights by name, the same at each call."""
    rng = np.random.default_rng(0)
    return [
        numpy_helper.from_array(rng.normal(size=shape, scale=0.5).astype(np.float32), name)
        for name, shape in shapes.items()
    ]


def model(
    text: str, initializers: list[onnx.TensorProto] | None = None, opset: int = 17
) -> onnx.ModelProto:
    """Return a model from a graph as text."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(initializers or [])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def perceptron(batch: str = "n", opset: int = 17) -> onnx.ModelProto:
    """(n, 6) -> (n, 8) features -> (n, 3) classes; the first layer is larger than 1 KB."""
    return model(
        f"""
        body (float[{batch},{WIDTH}] x) => (float[{batch},3] classes) {{
          hidden = Gemm(x, w1, b1)
          active = Relu(hidden)
          features = MatMul(active, w2)
          classes = MatMul(features, w3)
        }}
        """,
        weights(w1=(WIDTH, 64), b1=(64,), w2=(64, FEATURES), w3=(FEATURES, 3)),
        opset,
    )


def convolution(batch: str = "n", opset: int = 13) -> onnx.ModelProto:
    """(n, 2, 8, 8) -> (n, 8): convolution, batch norm, pooling, and a reshape to a fixed size."""
    first = 1 if batch == "1" else -1
    return model(
        f"""
        body (float[{batch},2,8,8] x) => (float[{batch},{FEATURES}] features) {{
          made = Conv <pads=[1,1,1,1]> (x, w, b)
          normal = BatchNormalization(made, scale, shift, mean, var)
          active = LeakyRelu <alpha=0.1> (normal)
          pooled = GlobalAveragePool(active)
          shape = Constant <value = int64[2] {{{first}, {FEATURES}}}> ()
          features = Reshape(pooled, shape)
        }}
        """,
        [
            *weights(w=(FEATURES, 2, 3, 3), b=(FEATURES,), scale=(FEATURES,), shift=(FEATURES,)),
            *weights(mean=(FEATURES,)),
            numpy_helper.from_array(np.full(FEATURES, 1.5, np.float32), "var"),
        ],
        opset,
    )


def loudest(batch: str = "n", width: int = WIDTH) -> onnx.ModelProto:
    """(n, width) -> the same: cut off below the loudest of the whole batch, as spectrograms are."""
    return model(
        f"""
        body (float[{batch},{width}] x) => (float[{batch},{width}] features) {{
          level = Abs(x)
          most = ReduceMax <keepdims=0> (level)
          tenth = Constant <value = float {{0.1}}> ()
          floor = Mul(most, tenth)
          features = Max(level, floor)
        }}
        """,
    )


def samples(count: int, seed: int = 0, shape: tuple[int, ...] = (WIDTH,)) -> NDArray[np.float32]:
    """Return random samples."""
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
