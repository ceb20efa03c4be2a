"""The models of benchmarks/models.py as ONNX graphs, written by hand over the same weights.

For peers that derive a training step from a forward graph. Needs onnx only, old or new.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 8  # what onnxsim writes its steps in, and old enough for onnxruntime-training


class Graph:
    """Collects the nodes of a forward graph whose input is `x`.

    Args:
        weights: arrays by the name of the parameter, which is that of the initializer too.
        shape: of x, the samples first.
        norms: use ONNX's own batch norm in training mode, not the arithmetic that it stands for.
    """

    def __init__(self, weights, shape, norms):
        self.weights, self.shape, self.norms = weights, shape, norms
        self.nodes, self.constants = [], {}

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
        self.constants[name] = value
        return name

    def model(self, output):
        """Return the model from `x` to that output, whose shape is (N, any)."""
        used = {name for node in self.nodes for name in node.input}
        arrays = {n: a for n, a in (self.constants | self.weights).items() if n in used}
        graph = helper.make_graph(
            self.nodes,
            "forward",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, (self.shape[0], None))],
            [numpy_helper.from_array(array, name) for name, array in arrays.items()],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def linear(g, name, x):
    """(N, inside) -> (N, outside)."""
    return g.add("Gemm", x, f"{name}.weight", f"{name}.bias", transB=1)


def convolution(g, name, x, stride=1, pads=(1, 1, 1, 1), group=1):
    """(N, C, H, W) -> (N, D, H', W')."""
    strides = [stride, stride]
    weight, bias = f"{name}.weight", f"{name}.bias"
    return g.add("Conv", x, weight, bias, strides=strides, pads=pads, group=group)


def flatten(g, x):
    """(N, ...) -> (N, all)."""
    return g.add("Reshape", x, np.array([g.shape[0], -1]))


def batch_norm(g, name, x):
    """(N, C, H, W), the same shape out: normalized with batch statistics, scaled, and shifted."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    channels = len(g.weights[weight])
    if g.norms:
        running = np.zeros(channels, np.float32), np.ones(channels, np.float32)
        return g.add("BatchNormalization", x, weight, bias, *running, outputs=3, training_mode=1)[0]
    per_channel = np.array([1, channels, 1, 1])
    x = g.add("Sub", x, g.add("ReduceMean", x, axes=[0, 2, 3]))
    variance = g.add("ReduceMean", g.add("Mul", x, x), axes=[0, 2, 3])
    deviation = g.add("Sqrt", g.add("Add", variance, np.array(1e-5, np.float32)))
    x = g.add("Mul", g.add("Div", x, deviation), g.add("Reshape", weight, per_channel))
    return g.add("Add", x, g.add("Reshape", bias, per_channel))


def mlp(g, x):
    """(N, 561) -> (N, 6)."""
    x = g.add("Relu", linear(g, "layer1", x))
    return linear(g, "head", g.add("Relu", linear(g, "layer2", x)))


def conv4_body(g, x, norm=False):
    """(N, 1, 28, 28) -> (N, width)."""
    for k in range(4):
        x = convolution(g, f"body.{k}.0", x)
        x = batch_norm(g, f"body.{k}.1", x) if norm else x
        x = g.add("MaxPool", g.add("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
    return flatten(g, x)


def head(g, x):
    """(N, width) -> (N, ways)."""
    return linear(g, "head", x)


def conv4(g, x, norm=False):
    """(N, 1, 28, 28) -> (N, 5)."""
    return head(g, conv4_body(g, x, norm))


def ds_cnn(g, x):
    """(N, 1, 49, 10) -> (N, 12)."""
    x = convolution(g, "stem", x, 2, (5, 1, 5, 1))
    for k in range(4):
        group = len(g.weights[f"body.{k}.0.weight"])
        x = g.add("Relu", convolution(g, f"body.{k}.0", x, group=group))
        x = g.add("Relu", convolution(g, f"body.{k}.2", x, pads=(0, 0, 0, 0)))
    return head(g, flatten(g, g.add("GlobalAveragePool", x)))


def gru(g, x):
    """(N, T, 6) -> (N, 6), time step by time step.

    onnxruntime-training takes half the time that it takes for a GRU operator and its gradient.
    """
    h = np.zeros((g.shape[0], g.weights["gru.layer.weight_hh_l0"].shape[1]), np.float32)

    def gates(x, kind):  # of reset, update, and new
        names = f"gru.layer.weight_{kind}_l0", f"gru.layer.bias_{kind}_l0"
        return g.add("Split", g.add("Gemm", x, *names, transB=1), axis=1, outputs=3)

    for x_t in g.add("Split", x, axis=1, outputs=g.shape[1]):
        reset_x, update_x, new_x = gates(g.add("Squeeze", x_t, np.array([1])), "ih")
        reset_h, update_h, new_h = gates(h, "hh")
        reset = g.add("Sigmoid", g.add("Add", reset_x, reset_h))
        update = g.add("Sigmoid", g.add("Add", update_x, update_h))
        new = g.add("Tanh", g.add("Add", new_x, g.add("Mul", reset, new_h)))
        h = g.add("Add", new, g.add("Mul", update, g.add("Sub", h, new)))
    return head(g, h)


MODELS = {  # what is frozen, and what adapts
    "mlp": (None, mlp),
    "conv4-32": (None, conv4),
    "conv4-32-25": (None, conv4),
    "conv4-64-bn": (None, partial(conv4, norm=True)),
    "ds-cnn": (None, ds_cnn),
    "ds-cnn-25": (None, ds_cnn),
    "gru": (None, gru),
    "head-only": (conv4_body, head),
}


def build(part, weights, shape, norms=True):
    """Return the ONNX model of a part of a case; for the arguments see `Graph`."""
    g = Graph(weights, shape, norms)
    return g.model(part(g, "x"))
