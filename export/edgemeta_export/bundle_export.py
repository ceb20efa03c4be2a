"""From a model to a bundle: compile its adaptation, and check it against PyTorch."""

from __future__ import annotations

import copy
import importlib.metadata
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir as ir
from torch import Tensor, nn

from edgemeta import bundle
from edgemeta.bundle import FileRecord, Manifest, StateTensor, TensorSpec, TrainingRecord
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop, matching
from edgemeta.meta.inner.losses import LOSSES, Loss, Task
from edgemeta.meta.inner.norms import (
    NormStatistics,
    warn_of_frozen_in_training,
    with_norm_statistics,
)
from edgemeta.meta.inner.updates import SGD, Rates, Update, checked_rates
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta_export.assemble import INNER_LOOP, adapt_model, predict_model
from edgemeta_export.checks import checked_labels, least_support
from edgemeta_export.cost import Cost, adaptation_cost
from edgemeta_export.example import Example, checked_example
from edgemeta_export.form import USUAL_FORM, GraphForm
from edgemeta_export.inline import graph_names, inline_graphs
from edgemeta_export.int8 import quantize_front
from edgemeta_export.lowered_loop import LoweredLoop, lower_inner_loop
from edgemeta_export.opset import to_opset
from edgemeta_export.passes import optimize
from edgemeta_export.passes.unroll import UnrollPass
from edgemeta_export.publish import checked_target, publish
from edgemeta_export.recorded_episode import record
from edgemeta_export.storage import ops_used, pack_init, to_bytes
from edgemeta_export.tables import shrink_constants

PACKAGES = ("edgemeta", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


def export_bundle(
    model: nn.Module,
    out: str | os.PathLike[str],
    example_x: Any,
    *,
    task: Task = "classification",
    ways: int | None = None,
    inner_lr: Rates,
    inner_steps: int,
    update: Update = SGD,
    adapt: Sequence[str] = ("*",),
    loss: Loss | None = None,
    norm_statistics: NormStatistics = "as is",
    int8: Any = None,
    form: GraphForm = USUAL_FORM,
    example_y: Any = None,
    labels: Sequence[str] | None = None,
    algorithm: str = "unknown",
    training: TrainingRecord | Mapping[str, Any] | None = None,
) -> Path:
    """Compile the adaptation of a model into a bundle, and check it against PyTorch.

    Args:
        model: any module that maps (N, *shape) to (N, ways) logits or (N, *target_shape) outputs,
            with the meta-learned or pre-trained weights in it. It is copied. Scaling and reshaping
            belong inside it.
        out: the directory to write; an existing bundle there is replaced.
        example_x: (n, *shape) samples as the user's data has them: their shape and dtype become
            the bundle's input. They are also recorded in the selftest.
        task: "classification" or "regression".
        ways: classes of the head; None takes them from the model's output. With a
            `edgemeta.meta.inner.SharedHead` those of the training, or None for those of
            `example_y`: the bundle takes any number.
        inner_lr: inner learning rate, on the mean support loss; or learned rates, for each adapted
            parameter an array whose axis 0 counts steps: see `edgemeta.meta.inner.Rates`.
        inner_steps: steps that a device takes unless told otherwise; 0 only with `labels`, whose
            init predicts as it is.
        update: how a step moves the parameters: plain SGD, or with momentum, weight decay or
            clipping, or Adam. What it remembers from step to step begins anew with each adaptation.
        adapt: shell patterns over parameter names: what the inner step updates; "!" in front of
            one takes away again, as in ("*", "!head.*").
        loss: maps (output, y) to a scalar; None for the task's own: cross entropy, or mean squared
            error. Multi-label targets are a regression with a loss such as
            `torch.nn.functional.binary_cross_entropy_with_logits`.
        norm_statistics: what batch norms normalise by, whatever adapts. "as is" keeps PyTorch's
            promise: one in eval mode (`model.eval()`) its running statistics, as constants, and one
            in training mode the support set's, as part of the state. "running" and "support" take
            the one or the other for all.
        int8: (n, *shape) raw training samples: what is frozen in front of the inner steps is
            quantized to 8 bits, per channel, calibrated on them. The bundle is then checked against
            the quantized front, run by onnxruntime.
        form: how the graphs are written, such as `GraphForm(unroll=True)`.
        example_y: (n,) labels or (n, *target_shape) targets of `example_x`; None makes some up.
        labels: names of the classes, one for each output of the model, where output k means the
            same in every task and the model was trained so: the init then predicts them before any
            adaptation. None where each task has classes of its own.
        algorithm: what trained the init, for the manifest.
        training: what the manifest says of the training: an `edgemeta.bundle.TrainingRecord`, or
            plain values, such as {"result": {"preprocessing": {...}}}.

    Returns:
        The bundle's path.

    Raises:
        InputError: an argument cannot be used; nothing was written.
        UnsupportedModelError: the model cannot be compiled; nothing was written.
        ParityError: onnxruntime and PyTorch give different results; nothing was written.

    Warns:
        UserWarning: batch norms in training mode belong to what stays frozen.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
        >>> x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
        >>> settings = {"inner_lr": 0.1, "inner_steps": 5, "adapt": ("2.*",)}
        >>> edgemeta.export_bundle(model, "heads", x, **settings).name
        'heads'
        >>> edgemeta.Runner("heads").adapt(x, [0, 0, 1, 1]).losses.shape
        (6,)
    """
    target = checked_target(Path(out))
    if task not in LOSSES:
        raise InputError("unknown task", got=repr(task), expected=" or ".join(LOSSES))
    least_steps = 1 if labels is None else 0  # an init that knows its classes may be best as it is
    if inner_steps < least_steps:
        raise InputError(
            "inner_steps is too small", got=inner_steps, expected=f"at least {least_steps}"
        )
    recorded_steps = max(inner_steps, 1)  # a step has to be shown right, taken by default or not
    training = _training_record(training)
    model = with_norm_statistics(_copy(model, adapt, norm_statistics), norm_statistics)
    if int8 is not None:
        adapted = matching(dict(model.named_parameters()), adapt)
        model = quantize_front(model.eval(), adapted, int8)
    loop = InnerLoop(model, loss or LOSSES[task], adapt, update)
    rates = checked_rates(inner_lr, loop.init().params)
    example = checked_example(
        loop, task, ways, example_x, example_y, is_sliced=form.chunk is not None
    )
    x, y, ways = example
    named = checked_labels(labels, ways, loop)
    compiled = _compile(loop, example, rates, recorded_steps, form)
    least, weights = least_support(loop, x), len(compiled.init)
    selftest = record(
        loop, task, x, y, steps=recorded_steps, lr=rates, least=least, weights=weights
    )
    content = {
        bundle.INIT: compiled.init,
        bundle.SELFTEST: selftest.content,
        **{name: to_bytes(graph) for name, graph in compiled.graphs.items()},
    }
    manifest = Manifest(
        task=task,
        ways=ways,
        input=TensorSpec(tuple(x.shape[1:]), _dtype(x)),
        target=TensorSpec(tuple(y.shape[1:]), _dtype(y)),
        algorithm=_algorithm(algorithm, loop, rates, adapt),
        inner_steps=inner_steps,
        least_support=least,
        state=compiled.state,
        opset=form.opset,
        ops={name: ops_used(graph) for name, graph in compiled.graphs.items()},
        files={name: FileRecord.of(data) for name, data in content.items()},
        parity={"atol": selftest.atol, "rtol": selftest.rtol, "reference": _reference(loop.model)},
        adapted_parameters=compiled.parameters(ways),
        flops_per_step=compiled.cost.flops_per_step,
        peak_memory_bytes=compiled.cost.peak_memory_bytes,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        training=training,
        labels=named,
    )
    return publish(target, content, manifest)


@dataclass(frozen=True)
class _Compiled:
    """An inner loop as the graphs of a bundle.

    Attributes:
        graphs: by the name of their file; what `init` holds is outside of them.
        init: the bytes of `init.bin`.
        state: what an adaptation changes.
        cost: of an adaptation to the example.
    """

    graphs: dict[str, ir.Model]
    init: bytes
    state: tuple[StateTensor, ...]
    cost: Cost

    def parameters(self, ways: int | None) -> int:
        """Return how many numbers adapt."""
        return sum(math.prod(t.shape_at(ways)) for t in self.state if t.kind == "parameter")


def _compile(
    loop: InnerLoop, example: Example, rates: Rates, inner_steps: int, form: GraphForm
) -> _Compiled:
    """Trace, lower and optimize an inner loop, and put it into a form."""
    x, y, ways = example
    lowered = lower_inner_loop(loop, ways, rates, x, y, form.without, form.chunk)
    graphs = {
        bundle.ADAPT: adapt_model(lowered, rates if isinstance(rates, float) else 1.0),
        bundle.PREDICT: predict_model(lowered),
    }
    graphs = {name: optimize(graph, form.without) for name, graph in graphs.items()}
    names = graph_names(loop.model)
    weights = sorted(set().union(*(inline_graphs(graph, names) for graph in graphs.values())))
    cost = adaptation_cost(graphs[bundle.ADAPT], len(x), ways, form.chunk)
    if form.unroll:
        UnrollPass(INNER_LOOP, inner_steps)(graphs[bundle.ADAPT])
    graphs = {name: to_opset(graph, form.opset) for name, graph in graphs.items()}
    for graph in graphs.values():
        shrink_constants(graph)
    params, buffers, frozen, *_ = lowered.init
    state = (
        *_state_tensors(lowered, params, "parameter"),
        *_state_tensors(lowered, buffers, "buffer"),
    )
    init = pack_init(graphs.values(), (*params, *buffers, *frozen, *lowered.rates, *weights))
    return _Compiled(graphs, init, state, cost)


def _training_record(given: TrainingRecord | Mapping[str, Any] | None) -> TrainingRecord | None:
    """Return a training record, each of its values such as JSON has."""
    if given is None:
        return None
    try:
        plain = given.record() if isinstance(given, TrainingRecord) else given
        return TrainingRecord.of(plain, "training")
    except ValueError as error:
        raise InputError(
            "the training record cannot be used",
            got=error,
            expected="fields of edgemeta.bundle.TrainingRecord",
        ) from error


def _copy(model: nn.Module, adapt: Sequence[str], norm_statistics: NormStatistics) -> nn.Module:
    """Return a copy on the CPU; warn of norms that would hardly do what their maker meant."""
    try:
        model = copy.deepcopy(model).cpu()
    except RuntimeError as error:  # torch copies no tensor that autograd has made
        raise InputError(
            "the model holds what an earlier run computed, and cannot be copied",
            got=str(error).split(". ")[0],
            hint="pass it as it was made, or run it under torch.no_grad() before",
        ) from error
    adapted = matching(dict(model.named_parameters()), adapt)
    if norm_statistics == "as is":
        warn_of_frozen_in_training(model, adapted, stacklevel=3)
    return model


def _algorithm(name: str, loop: InnerLoop, rates: Rates, adapt: Sequence[str]) -> dict[str, Any]:
    """Return what the manifest says of the inner loop."""
    return {
        "name": name,
        "inner_lr": rates if isinstance(rates, float) else "learned",
        "update": asdict(loop.update),
        "adapt": list(adapt),
        "loss": getattr(loop.loss, "__name__", type(loop.loss).__name__),
    }


def _reference(model: nn.Module) -> str:
    """Say what computed the values of the recorded episode."""
    graphs = [name or "model" for name, m in model.named_modules() if isinstance(m, OnnxModule)]
    return f"PyTorch; onnxruntime for {', '.join(graphs)}" if graphs else "PyTorch"


def _state_tensors(
    lowered: LoweredLoop, tensors: Mapping[str, Tensor], kind: Literal["parameter", "buffer"]
) -> list[StateTensor]:
    return [
        StateTensor(n, tuple(t.shape), _dtype(t), kind, n in lowered.per_class)
        for n, t in tensors.items()
    ]


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
