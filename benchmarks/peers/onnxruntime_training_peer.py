"""onnxruntime-training as a peer of the speed benchmarks: its on-device training API.

    python -m venv /tmp/venv-ort-training
    /tmp/venv-ort-training/bin/pip install -r \
        benchmarks/peers/onnxruntime_training-requirements.txt
    python -m benchmarks.adapt_latency \
        --peer onnxruntime_training=/tmp/venv-ort-training/bin/python

A step is a training step (loss and gradient) and an optimizer step; support set and loss are
OrtValues, so neither is copied. The weights live inside the module, and the only way back to the
init is to copy it there: `copy_buffer_to_parameters`, one copy of all weights per adaptation, is
timed. Frozen parts run once per adaptation, as inference. Requests: see serving.py.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
from forward_models import MODELS, build
from onnxruntime import OrtValue
from serving import serve

for name in ("amp", "optim"):  # onnxruntime.training imports them; they import PyTorch
    sys.modules[f"onnxruntime.training.{name}"] = ModuleType(name)

from onnxruntime.training.api import CheckpointState, Module, Optimizer
from onnxruntime.training.artifacts import LossType, OptimType, generate_artifacts


def session_options():
    """Return the options of every session: as many threads as we may use."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(sys.argv[1])
    return options


@contextmanager
def quiet():
    """Drop what is written to stderr: building a gradient logs much, at a level of its own."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@quiet()
def load(model, request):
    """Return a model's training module, its optimizer, and the parameters that both know."""
    with tempfile.TemporaryDirectory() as folder:
        generate_artifacts(
            model,
            requires_grad=request["adapted"],
            loss=LossType.CrossEntropyLoss,
            optimizer=OptimType.SGD,
            artifact_directory=folder,
        )
        path = Path(folder)
        state = CheckpointState.load_checkpoint(path / "checkpoint")
        # no eval model: batch norm has no batch statistics there
        module = Module(path / "training_model.onnx", state, session_options=session_options())
        optimizer = Optimizer(path / "optimizer_model.onnx", module)
    optimizer.set_learning_rate(request["lr"])
    return module, optimizer, state.parameters


def prepare(request):
    """See `serve`."""
    frozen, adapts = MODELS[request["case"]]
    with np.load(request["arrays"]) as arrays:
        x, y = (OrtValue.ortvalue_from_numpy(arrays[n]) for n in "xy")
        weights = {n[2:]: a for n, a in arrays.items() if n.startswith("p:")}
    body = None
    if frozen:
        model = build(frozen, weights, x.shape()).SerializeToString()
        provider = ["CPUExecutionProvider"]
        body = onnxruntime.InferenceSession(model, session_options(), provider)

    def features():
        return body.run_with_ort_values(None, {"x": x})[0] if body else x

    model = build(adapts, weights, features().shape())
    module, optimizer, params = load(model, request)
    init = module.get_contiguous_parameters(trainable_only=True)

    def loss(x):
        module.lazy_reset_grad()  # the gradients of the call before would be added
        return module(x, y)

    def adapt():
        module.copy_buffer_to_parameters(init)
        kept = features()
        for _ in range(request["steps"]):
            loss(kept)
            optimizer.step()
        return params

    def result():
        adapted = {n: p.data for n, p in adapt() if p.requires_grad}
        return adapted, loss(features()).numpy()

    return adapt, result


if __name__ == "__main__":
    serve(MODELS, prepare, {"onnxruntime-training": onnxruntime.__version__})
