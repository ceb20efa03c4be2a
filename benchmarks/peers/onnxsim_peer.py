"""onnxsim as a peer of the speed benchmarks: it writes a training step as a plain ONNX graph.

    python -m venv /tmp/venv-onnxsim
    /tmp/venv-onnxsim/bin/pip install -r benchmarks/peers/onnxsim-requirements.txt
    python -m benchmarks.adapt_latency --peer onnxsim=/tmp/venv-onnxsim/bin/python

The step (forward, loss, gradient, update) is that of `onnxsim.compile_training_loop`. It runs in a
session of our own, for onnxsim's has no graph optimizations and no way to set its threads. The
inputs and outputs of all steps are bound beforehand and the weights go back and forth between two
sets of buffers, so nothing is copied; the first step reads the init, which nothing writes to, so a
reset costs nothing. Frozen parts run once per adaptation. Requests: see serving.py.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import onnxruntime
import onnxsim
from forward_models import IR, MODELS, OPSET, build
from onnx import TensorProto, helper
from onnxruntime import OrtValue
from onnxsim.compile_training import CustomOptimizer
from serving import serve


def session(model):
    """Return a session of a model, on as many threads as we may use."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[1])
    provider = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(model.SerializeToString(), options, provider)


def bind(run, inputs, outputs):
    """Return a function that runs a session on these OrtValues, into those."""
    binding = run.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in outputs.items():
        binding.bind_ortvalue_output(name, value)
    return lambda: run.run_with_iobinding(binding)


def add_loss(model, shape):
    """Make `loss` the model's output: the mean cross entropy () with `target` of that shape.

    The target is -1 / N at a sample's label and 0 elsewhere; onnxsim differentiates each operator.
    """
    for op, inputs, output, attributes in (
        ("Softmax", [model.graph.output[0].name], "probabilities", {}),
        ("Log", ["probabilities"], "logs", {}),
        ("Mul", ["logs", "target"], "products", {}),
        ("ReduceSum", ["products"], "loss", {"keepdims": 0}),
    ):
        model.graph.node.append(helper.make_node(op, inputs, [output], **attributes))
    model.graph.input.append(helper.make_tensor_value_info("target", TensorProto.FLOAT, shape))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("loss", TensorProto.FLOAT, ()))


def plain_sgd():
    """Return onnxsim's optimizer without a state: (param, grad, lr) -> (param - lr * grad)."""
    nodes = [
        helper.make_node("Mul", ["lr", "grad"], ["change"]),
        helper.make_node("Sub", ["param", "change"], ["next"]),
    ]
    *inputs, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("param", "grad", "lr", "next")
    )
    graph = helper.make_graph(nodes, "sgd", inputs, [output])
    opsets = [helper.make_opsetid("", OPSET)]
    return CustomOptimizer(helper.make_model(graph, opset_imports=opsets, ir_version=IR), 0)


def prepare(request):
    """See `serve`."""
    frozen, adapts = MODELS[request["case"]]
    with np.load(request["arrays"]) as arrays:
        x, y = arrays["x"], arrays["y"]
        weights = {n[2:]: a for n, a in arrays.items() if n.startswith("p:")}
    runs = []
    if frozen:
        body = session(build(frozen, weights, x.shape))
        (features,) = body.run(None, {"x": x})
        outputs = {body.get_outputs()[0].name: OrtValue.ortvalue_from_numpy(features)}
        runs.append(bind(body, {"x": OrtValue.ortvalue_from_numpy(x)}, outputs))
        x = features

    target = np.zeros((len(y), len(weights["head.bias"])), np.float32)
    target[np.arange(len(y)), y] = -1 / len(y)
    model = build(adapts, weights, x.shape, norms=False)
    add_loss(model, target.shape)
    loop = onnxsim.compile_training_loop(model, "loss", request["adapted"], plain_sgd())
    outputs = loop.step_graph.state
    step = session(loop.step_graph.model)

    init, *buffers = (
        {n: OrtValue.ortvalue_from_numpy(weights[n].copy()) for n in outputs} for _ in range(3)
    )
    fixed = {"x": x, "target": target, "lr": np.array(request["lr"], np.float32)}
    fixed = {n: OrtValue.ortvalue_from_numpy(a) for n, a in fixed.items()}
    loss = OrtValue.ortvalue_from_numpy(np.zeros((), np.float32))

    def bind_step(before, after):
        results = {outputs[n]: value for n, value in after.items()} | {"loss": loss}
        return bind(step, fixed | before, results)

    states = [init, *(buffers[k % 2] for k in range(request["steps"] + 1))]
    *steps, extra = (bind_step(before, after) for before, after in pairwise(states))
    runs += steps

    def adapt():
        for run in runs:
            run()
        return states[-2]

    def result():
        params = {name: value.numpy() for name, value in adapt().items()}
        extra()
        return params, loss.numpy()

    return adapt, result


if __name__ == "__main__":
    serve(MODELS, prepare, {p.__name__: p.__version__ for p in (onnxruntime, onnxsim)})
