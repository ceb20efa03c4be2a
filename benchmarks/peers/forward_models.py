"""The models of benchmarks/models.py as ONNX graphs, written by hand over the same weights.

For the peers that derive a training step from a forward graph. Needs onnx only, old or new.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET, IR = 17, 8  # what onnxsim writes its steps in, and old enough for onnxruntime-training


class Graph:
    """Collects the nodes of a forward graph.

    Args:
        weights: arrays by the name of the parameter, which is that of the initializer too.
        samples: size of the support set.
    """

    def __init__(self, weights, samples):
        self.weights = weights
        self.samples = samples
        self.nodes = []
        self.constants = {}

    def add(self, op, *inputs, outputs=1, **attributes):
        """Append a node; an array among its inputs becomes a constant.

        Returns:
            The name of its output, or a list of names where it has more than one.
        """
        names = [f"t{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(map(self._name, inputs)), names, **attributes))
        return names[0] if outputs == 1 else names

    def _name(self, value):
        if isinstance(value, str):
            return value
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def model(self, x, shape, output) -> ModelProto:
        """Return the model from input `x` of that shape to `output`, of whatever shape it has."""
        used = {name for node in self.nodes for name in node.input}
        arrays = self.constants | {n: w for n, w in self.weights.items() if n in used}
        graph = helper.make_graph(
            self.nodes,
            "forward",
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def linear(g, name, x):
    """(N, inside) -> (N, outside)."""
    return g.add("Gemm", x, f"{name}.weight", f"{name}.bias", transB=1)


def convolution(g, name, x, stride=1, padding=(1, 1), group=1):
    """(N, C, H, W) -> (N, D, H', W')."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    return g.add(
        "Conv", x, weight, bias, strides=[stride] * 2, pads=[*padding, *padding], group=group
    )
