"""An ONNX graph as a frozen part of a PyTorch model: run by onnxruntime, inlined in an export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from torch import Tensor, nn

from edgemeta.meta.models.onnx_file import (
    bind,
    read_model,
)
from edgemeta.meta.models.onnx_graph import GRAPHS, OnnxGraph
from edgemeta.meta.models.onnx_op import onnx_graph


class OnnxModule(nn.Module):
    """An ONNX file as a module without parameters.

    In PyTorch it runs on onnxruntime, and gradients stop there. In an export its nodes become part
    of the bundle as they are, in front of the inner steps, and its weights part of `init.bin`.

    Inputs and outputs are those of the graph, in its order, samples along axis 0; one output is a
    tensor, several are a tuple. An input of a single number is the same for all samples.

    Args:
        file: the path of an .onnx file, its external data beside it, or a model in memory.
        outputs: names of values to return in place of the graph's outputs: ("features",) cuts off a
            classifier behind them.
        per_sample: run the graph for one sample after the other. That is for graphs in which
            samples see each other, or that take only one. An input with one axis less than its
            tensor gets samples without axis 0.
        constants: values of inputs that never change, by name: they are no inputs then.

    Raises:
        InputError: the file cannot be read, or has no such values.
        UnsupportedModelError: a bundle cannot take it: ops of other domains, sequences, strings,
            random numbers, a fixed number of samples. The text names all reasons.

    Example:
        >>> import edgemeta
        >>> import torch
        >>> body = edgemeta.OnnxModule("body.onnx", outputs=("features",))  # without its classifier
        >>> model = torch.nn.Sequential(body, torch.nn.Linear(8, 2))
        >>> model(torch.zeros(5, 6)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | onnx.ModelProto,
        outputs: Sequence[str] | None = None,
        *,
        per_sample: bool = False,
        constants: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        name = "the model" if isinstance(file, onnx.ModelProto) else str(file)
        model = read_model(file, outputs)
        bind(model, constants or {}, name)
        self.graph = OnnxGraph(model, name, per_sample=per_sample)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the graph; see the class for shapes.

        Raises:
            InputError: the inputs do not fit the graph.
        """
        self.graph.check(inputs)
        GRAPHS[self.graph.key] = self.graph
        made = onnx_graph(list(inputs), self.graph.key)
        return made[0] if len(made) == 1 else tuple(made)

    def extra_repr(self) -> str:
        """Say which file it is."""
        return self.graph.name + (", per_sample=True" if self.graph.per_sample else "")
