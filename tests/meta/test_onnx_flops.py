"""What the products in an ONNX graph cost, counted by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgemeta import OnnxModule
from edgemeta.meta.models.onnx_flops import graph_flops, product_flops

FLOAT = TensorProto.FLOAT
# A convolution 3x3 with padding, its mean, and a product with a matrix; for one sample.
CONVOLUTION = 2 * (4 * 8 * 8) * (3 * 3 * 3)
MATRIX = 2 * 4 * 5


def graph(samples: int | str) -> onnx.ModelProto:
    """(N, 3, 8, 8) -> (N, 5)."""
    rng = np.random.default_rng(0)
    weights = {"k": (4, 3, 3, 3), "w": (4, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [samples, 3, 8, 8])],
        [helper.make_tensor_value_info("y", FLOAT, [samples, 5])],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    opset = helper.make_opsetid("", 20)
    return helper.make_model(made, opset_imports=[opset], ir_version=9)


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("samples", [1, 3])
def test_pytorch_counts_a_graph_beside_layers(samples: int, per_sample: bool) -> None:
    body = OnnxModule(graph(1 if per_sample else "n"), per_sample=per_sample)
    model = nn.Sequential(body, nn.Linear(5, 7))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(samples, 3, 8, 8))
    assert counter.get_total_flops() == samples * (CONVOLUTION + MATRIX + 2 * 5 * 7)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_cost_what_those_of_pytorch_do(stride: int) -> None:
    first, second = nn.Conv2d(3, 6, 3, stride=stride, groups=3), nn.ConvTranspose2d(6, 4, 2)
    x = torch.zeros(2, 3, 9, 9)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        middle = first(x)
        made = second(middle)
    assert counter.get_total_flops() == (
        product_flops("Conv", [x.shape, first.weight.shape], middle.shape)
        + product_flops("ConvTranspose", [middle.shape, second.weight.shape], made.shape)
    )


def test_a_graph_without_products_costs_nothing() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    made = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [2])],
        [helper.make_tensor_value_info("y", FLOAT, [2])],
    )
    assert graph_flops(ir.from_proto(helper.make_model(made)), {"x": np.zeros(2, "f4")}) == 0


@pytest.mark.parametrize(
    ("op", "inputs", "output", "expected"),
    [
        ("MatMul", [(2, 3, 4), (4, 5)], (2, 3, 5), 2 * 2 * 3 * 4 * 5),
        ("Gemm", [(3, 4), (4, 5), (5,)], (3, 5), 2 * 3 * 4 * 5),
        ("QLinearConv", [(1, 3, 4, 4), (), (), (8, 3, 1, 1)], (1, 8, 4, 4), 2 * 128 * 3),
        ("GRU", [(7, 2, 4), (1, 9, 4), (1, 9, 3)], (7, 1, 2, 3), 2 * 7 * 2 * (9 * 4 + 9 * 3)),
        ("Add", [(2, 3), (2, 3)], (2, 3), 0),
    ],
)
def test_products_are_counted_by_hand(
    op: str, inputs: list[tuple[int, ...]], output: tuple[int, ...], expected: int
) -> None:
    assert product_flops(op, inputs, output) == expected


def test_a_transposed_gemm() -> None:
    assert product_flops("Gemm", [(4, 3), (4, 5)], (3, 5), transposed=True) == 2 * 3 * 4 * 5
