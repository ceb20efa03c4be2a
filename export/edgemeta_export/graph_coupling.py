"""Whether samples see each other inside an ONNX graph: a device predicts one at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.models.coupling import LIMIT, distance
from edgemeta.meta.models.onnx_graph import OnnxGraph
from edgemeta.meta.models.onnx_module import OnnxModule


def check_samples_apart(loop: InnerLoop, x: Tensor) -> None:
    """Refuse ONNX graphs that compute something else for a sample beside others than alone.

    Args:
        loop: the inner loop.
        x: (S, *input_shape) example samples.

    Raises:
        UnsupportedModelError: there are such graphs; the text names all of them.
    """
    seen: dict[str, tuple[OnnxGraph, tuple[Tensor, ...]]] = {}
    hooks = [
        module.register_forward_pre_hook(
            lambda module, inputs, name=name: seen.update({name: (module.graph, inputs)})
        )
        for name, module in loop.model.named_modules()
        if isinstance(module, OnnxModule) and not module.graph.per_sample
    ]
    if not hooks:  # a forward pass of a large model takes a while
        return
    try:
        with torch.no_grad():
            loop.predict(loop.init(), x)
    finally:
        for hook in hooks:
            hook.remove()
    coupled = []
    for name, (graph, inputs) in seen.items():
        apart = distance(graph.run, [tensor.numpy() for tensor in inputs])
        if apart > LIMIT:
            coupled.append(f"{graph.name} ({name or 'the model'}): by {apart:.2g} of the largest")
    if coupled:
        raise UnsupportedModelError(
            "samples see each other in an ONNX graph: one beside others comes out differently",
            got="; ".join(coupled),
            hint="OnnxModule(..., per_sample=True) runs it for one sample after the other",
        )
