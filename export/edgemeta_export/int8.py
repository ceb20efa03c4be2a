"""What is frozen in front of the inner steps in 8-bit integers, by onnxruntime's own quantizer."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.func import functional_call

from edgemeta.errors import InputError
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.split import split_frozen
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta_export.graph_building import initializer
from edgemeta_export.inline import inline_graphs
from edgemeta_export.lower import lower
from edgemeta_export.passes import optimize
from edgemeta_export.quiet import quiet
from edgemeta_export.trace import trace

QUANTIZED = ["Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "LeakyRelu"]
"""Products, and what stands between them: without the activations, products would be rounded before
those cut their range (EfficientNet-Lite0's features: a cosine of 0.90 in place of 0.97). What
normalises features behind them stays in float32."""

CALIBRATION = 256
"""Samples are enough for ranges of activations; all of a large data set would take minutes."""

X, FEATURES = "samples", "features"


def quantize_front(model: nn.Module, adapted: Collection[str], calibration: Any) -> nn.Module:
    """Replace what is frozen in front of what adapts by a graph of 8-bit integers.

    Args:
        model: in eval mode; it shares its other layers with what comes back.
        adapted: names of the parameters that adapt.
        calibration: (n, *shape) raw samples of the training part, from which the ranges of
            activations are taken.

    Returns:
        A model with the same names of adapted parameters.

    Raises:
        InputError: nothing is frozen, or the samples do not fit.
    """
    x = np.ascontiguousarray(calibration)
    if x.ndim < 2 or not len(x):
        raise InputError(
            "int8 needs samples to calibrate with", got=f"shape {x.shape}", expected="(n, *shape)"
        )
    places = np.linspace(0, len(x) - 1, min(len(x), CALIBRATION)).astype(np.int64)
    x = x[places]
    if isinstance(model, BodyModel) and not any(name.startswith("body.") for name in adapted):
        return BodyModel(OnnxModule(_quantized(model.body, x)), model.neck, model.head).eval()
    split = split_frozen(model, adapted, torch.from_numpy(x))
    if split is None:
        raise InputError(
            "int8 quantizes what is frozen in front of the inner steps, and here nothing is",
            hint='let less adapt, for example adapt=("head.*",)',
        )
    return _Behind(OnnxModule(_quantized(split.front, x)), split.rest)


class _Behind(nn.Module):
    """The rest of a model behind another front; its parameters keep their names."""

    def __init__(self, front: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        for name, child in rest.named_children():
            self.add_module(name, child)
        for name, parameter in rest.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in rest.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        self.quantized_front = front
        # Not a child: it shares those above.
        self.__dict__["_rest"] = rest

    def forward(self, x: Tensor) -> Tensor:
        rest = self.__dict__["_rest"]
        own = dict(self.named_parameters(recurse=False)) | dict(self.named_buffers(recurse=False))
        output: Tensor = functional_call(rest, own, (self.quantized_front(x),))
        return output


def calibration_samples(source: TaskSource, size: EpisodeSize) -> NDArray[Any]:
    """Return raw samples (n, *shape) of the training part to calibrate with, the same each time.

    Episodes of a small part repeat its samples. Each is returned once: a second look changes no
    range.
    """
    samples: list[NDArray[Any]] = []
    while sum(map(len, samples)) < CALIBRATION:
        episode = source.episode("train", size, 0, len(samples))
        samples.append(np.concatenate([episode.support_x, episode.query_x]))
    drawn = np.concatenate(samples)[:CALIBRATION]
    return np.stack([*{sample.tobytes(): sample for sample in drawn}.values()])


def front_model(front: nn.Module, x: Tensor) -> ir.Model:
    """Translate a frozen module into an ONNX model with its weights in it.

    Args:
        front: maps (N, *shape) to (N, ...), in eval mode.
        x: (n, *shape) raw samples.
    """
    weights = {name: p.detach() for name, p in front.named_parameters()}
    weights |= dict(front.named_buffers())

    def run(weights: Any, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return {FEATURES: functional_call(front, weights, (x,))}

    program = trace(run, [weights, x], [False, True], fixed=[True, False], model=front)
    model = lower(program, [*weights, X], [FEATURES])
    for value in list(model.graph.inputs):
        if value.name in weights:
            model.graph.inputs.remove(value)
            made = initializer(str(value.name), weights[str(value.name)])
            value.replace_all_uses_with(made, replace_graph_outputs=True)
            model.graph.register_initializer(made)
    model = optimize(model)
    inline_graphs(model, {})
    return model


def _quantized(front: nn.Module, x: NDArray[Any]) -> onnx.ModelProto:
    """Return a module as a graph of 8-bit integers."""
    model = front_model(front, torch.from_numpy(x[:2]))
    with tempfile.TemporaryDirectory() as folder, quiet():
        plain, ready, done = (Path(folder) / f"{n}.onnx" for n in ("plain", "ready", "done"))
        onnx.save(ir.to_proto(model), plain)
        # Folds batch norms into convolutions, whose weights are quantized then.
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            done,
            _Samples(x),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            # 7 bits of weights: without VNNI, x86 adds two products up in 16 bits, which saturate
            # with 8, and a bundle would compute something else there than on other processors.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(done)


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the quantizer sample by sample."""

    def __init__(self, x: NDArray[Any]) -> None:
        self._left: Iterator[NDArray[Any]] = iter(np.split(x, len(x)))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        found = next(self._left, None)
        return None if found is None else {X: found}
