"""What users call: a model or a trained run in, a bundle out."""

from __future__ import annotations

import copy
import importlib.metadata
import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from edgemeta import bundle
from edgemeta.bundle import FileRecord, Manifest, StateTensor, TensorSpec
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop, matching
from edgemeta.meta.inner.losses import LOSSES, Loss, Task
from edgemeta.meta.inner.norms import (
    NormStatistics,
    warn_of_frozen_in_training,
    with_norm_statistics,
)
from edgemeta.meta.inner.updates import SGD, Rates, Update, checked_rates
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.runs.building import head_ways
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta_export.assemble import INNER_LOOP, adapt_model, predict_model
from edgemeta_export.checks import check_buffers, check_slices, check_state, least_support
from edgemeta_export.cost import adaptation_cost
from edgemeta_export.graph_coupling import check_samples_apart
from edgemeta_export.inline import graph_names, inline_graphs
from edgemeta_export.int8 import calibration_samples, quantize_front
from edgemeta_export.int8_accuracy import Setting, before_and_after
from edgemeta_export.lowered_loop import LOWERINGS, LoweredLoop, lower_inner_loop
from edgemeta_export.opset import to_opset
from edgemeta_export.passes import PASSES, optimize
from edgemeta_export.passes.unroll import UnrollPass
from edgemeta_export.publish import checked_target, publish
from edgemeta_export.recorded_episode import record
from edgemeta_export.rules.registry import OPSET
from edgemeta_export.storage import ops_used, pack_init, to_bytes
from edgemeta_export.tables import shrink_constants
from edgemeta_export.tune import fastest

OPTIMIZATIONS = (*LOWERINGS, *PASSES)
"""What `export_bundle` may leave out: it makes adaptation faster, and changes nothing else."""

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
    chunk: int | None = None,
    unroll: bool = False,
    opset: int = OPSET,
    example_y: Any = None,
    algorithm: str = "unknown",
    training: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
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
        inner_steps: steps that a device takes unless told otherwise.
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
        chunk: take the support set in slices of so many samples, whose gradients add up to the
            same step: the memory of an adaptation is then that of one slice. Needs a loss that is
            a mean over samples. None takes all samples at once.
        unroll: write `inner_steps` steps out one after the other; a device that asks for another
            number takes the Loop, as it does without. The graph is larger by the steps.
        opset: ONNX opset of both graphs; older ones, down to 17, serve older runtimes.
        example_y: (n,) labels or (n, *target_shape) targets of `example_x`; None makes some up.
        algorithm: what trained the init, for the manifest.
        training: the training record, for the manifest.
        without: optimizations to leave out (names in `OPTIMIZATIONS`), to find what one does.

    Returns:
        The bundle's path.

    Raises:
        InputError: an argument cannot be used; nothing was written.
        UnsupportedModelError: the model cannot be compiled; nothing was written.
        ParityError: onnxruntime computes something else than PyTorch; nothing was written.

    Warns:
        UserWarning: batch norms in training mode belong to what stays frozen.

    Example:
        model = nn.Sequential(pretrained_body, nn.Linear(512, 5)).eval()
        export_bundle(model, "bundle", x, inner_lr=0.1, inner_steps=5, adapt=("1.*",))
    """
    target = checked_target(Path(out))
    _check_arguments(task, inner_steps, chunk, without)
    loss = loss or LOSSES[task]
    model = with_norm_statistics(_copy(model, adapt, norm_statistics), norm_statistics)
    if int8 is not None:
        adapted = matching(dict(model.named_parameters()), adapt)
        model = quantize_front(model.eval(), adapted, int8)
    loop = InnerLoop(model, loss, adapt, update)
    rates = checked_rates(inner_lr, loop.init().params)
    check_state(loop)
    x = _samples(example_x)
    output = _forward(loop, x)
    check_buffers(loop, x)
    check_samples_apart(loop, x)
    if loop.per_class:
        ways = _shared_ways(task, ways, output, example_y)
    else:
        ways = _ways(task, ways, output)
    y = _targets(example_y, task, ways, output)
    if chunk is not None:
        check_slices(loop, x, y)

    lowered = lower_inner_loop(loop, ways, rates, x, y, without, chunk)
    models = {
        bundle.ADAPT: adapt_model(lowered, rates if isinstance(rates, float) else 1.0),
        bundle.PREDICT: predict_model(lowered),
    }
    models = {name: optimize(graph, without) for name, graph in models.items()}
    names = graph_names(loop.model)
    weights = sorted(set().union(*(inline_graphs(graph, names) for graph in models.values())))
    cost = adaptation_cost(models[bundle.ADAPT], len(x), ways, chunk)
    if unroll:
        UnrollPass(INNER_LOOP, inner_steps)(models[bundle.ADAPT])
    models = {name: to_opset(graph, opset) for name, graph in models.items()}
    for graph in models.values():
        shrink_constants(graph)
    params, buffers, frozen, *_ = lowered.init
    state = (
        *_state_tensors(lowered, params, "parameter"),
        *_state_tensors(lowered, buffers, "buffer"),
    )
    init = pack_init(models.values(), (*params, *buffers, *frozen, *lowered.rates, *weights))
    least = least_support(loop, x)
    selftest = record(loop, task, x, y, steps=inner_steps, lr=rates, least=least, weights=len(init))
    content = {
        bundle.INIT: init,
        bundle.SELFTEST: selftest.content,
        **{name: to_bytes(graph) for name, graph in models.items()},
    }
    manifest = Manifest(
        task=task,
        ways=ways,
        input=TensorSpec(tuple(x.shape[1:]), _dtype(x)),
        target=TensorSpec(tuple(y.shape[1:]), _dtype(y)),
        algorithm={
            "name": algorithm,
            "inner_lr": rates if isinstance(rates, float) else "learned",
            "update": asdict(update),
            "adapt": list(adapt),
            "loss": getattr(loss, "__name__", type(loss).__name__),
        },
        inner_steps=inner_steps,
        least_support=least,
        state=state,
        opset=opset,
        ops={name: ops_used(graph) for name, graph in models.items()},
        files={name: FileRecord.of(data) for name, data in content.items()},
        parity={"atol": selftest.atol, "rtol": selftest.rtol, "reference": _reference(loop.model)},
        adapted_parameters=sum(math.prod(t.shape_at(ways)) for t in state if t.name in params),
        flops_per_step=cost.flops_per_step,
        peak_memory_bytes=cost.peak_memory_bytes,
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
        training=training,
    )
    return publish(target, content, manifest)


def export_run(
    path: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    adapt: Sequence[str] | None = None,
    int8: TaskSource | None = None,
    chunk: int | None = None,
    unroll: bool = False,
    tune: bool = False,
    opset: int = OPSET,
    without: Collection[str] = (),
) -> Path:
    """Compile the best checkpoint of a training run into a bundle.

    Args:
        path: what `edgemeta train --out` wrote, or a run that holds its model.
        out: the directory to write.
        adapt: see `export_bundle`; ("head.*",) adapts the head alone; None for what adapted in
            training.
        int8: data like the run's: what is frozen in front of the inner steps is quantized to 8
            bits, calibrated on samples of the training part. The record has the accuracy on
            episodes of the validation part before and after.
        chunk: see `export_bundle`.
        unroll: see `export_bundle`.
        tune: measure the variants here and keep the fastest, see `edgemeta_export.tune.fastest`;
            whether to unroll is then one of the choices.
        opset: see `export_bundle`.
        without: see `export_bundle`; not together with `tune`, which decides that.

    Returns:
        The bundle's path.

    Raises:
        InputError: there is no run, or it has no checkpoint.
        UnsupportedModelError, ParityError: see `export_bundle`.
    """
    run = path if isinstance(path, Run) else Run(Path(path))
    config, statistics, model, rates = run.best()
    if adapt is not None and not isinstance(rates, float):
        raise InputError(
            "learned rates fit only what adapted in training", got=f"adapt {', '.join(adapt)}"
        )
    example, adapt, record = run.example(), config.adapt if adapt is None else adapt, run.record()
    if int8 is not None:
        size = EpisodeSize(config.ways, config.shots, config.queries)
        plain, adapted = model.eval(), matching(dict(model.named_parameters()), adapt)
        model = quantize_front(plain, adapted, calibration_samples(int8, size))
        setting = Setting(adapt, config.inner_update(), rates, config.inner_steps, size)
        record["int8"] = before_and_after(plain, model, FeatureCache(int8), setting)
    export = partial(
        export_bundle,
        model,
        example_x=example.support_x,
        task=statistics.kind,
        ways=head_ways(config, statistics),
        inner_lr=rates,
        inner_steps=config.inner_steps,
        update=config.inner_update(),
        adapt=adapt,
        chunk=chunk,
        opset=opset,
        example_y=example.support_y,
        algorithm=config.algorithm,
        training=record,
    )
    return fastest(export, out) if tune else export(out=out, unroll=unroll, without=without)


def _check_arguments(
    task: str, inner_steps: int, chunk: int | None, without: Collection[str]
) -> None:
    if odd := sorted(set(without) - set(OPTIMIZATIONS)):
        known = ", ".join(OPTIMIZATIONS)
        raise InputError("unknown optimization", got=", ".join(odd), expected=f"some of {known}")
    if task not in LOSSES:
        raise InputError("unknown task", got=repr(task), expected=" or ".join(LOSSES))
    if inner_steps < 1:
        raise InputError("inner_steps is too small", got=inner_steps, expected="at least 1")
    if chunk is not None and chunk < 1:
        raise InputError("chunk is too small", got=chunk, expected="at least 1")


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


def _reference(model: nn.Module) -> str:
    """Say what computed the values of the recorded episode."""
    graphs = [name or "model" for name, m in model.named_modules() if isinstance(m, OnnxModule)]
    return f"PyTorch; onnxruntime for {', '.join(graphs)}" if graphs else "PyTorch"


def _samples(example_x: Any) -> Tensor:
    x = np.ascontiguousarray(example_x.numpy() if isinstance(example_x, Tensor) else example_x)
    if x.ndim < 2 or len(x) < 1:
        raise InputError(
            "example_x must hold samples along axis 0",
            got=f"shape {x.shape}",
            expected="(n, *shape of one sample)",
        )
    try:
        return torch.from_numpy(x)
    except TypeError as error:
        raise InputError("example_x has a dtype that torch lacks", got=x.dtype) from error


def _forward(loop: InnerLoop, x: Tensor) -> Tensor:
    """Return the init's output, for its shape."""
    try:
        with torch.no_grad():
            output = loop.predict(loop.init(), x)
    except Exception as error:  # whatever a foreign model raises on data that it was not made for
        raise InputError(
            "the model does not run on example_x",
            got=f"{type(error).__name__}: {error}",
            hint="pass samples as the model takes them",
        ) from error
    if not isinstance(output, Tensor) or output.shape[:1] != x.shape[:1]:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UnsupportedModelError(
            "the model must return one tensor with the samples along axis 0", got=got
        )
    return output


def _ways(task: str, ways: int | None, output: Tensor) -> int | None:
    if task == "regression":
        if ways is not None:
            raise InputError("ways is for classification", got=ways, expected=None)
        return None
    if output.ndim != 2 or (ways is not None and output.shape[1] != ways):
        raise InputError(
            "the model's output does not fit the task",
            got=f"shape {tuple(output.shape)}",
            expected=f"(n, {'ways' if ways is None else ways}) logits",
        )
    return int(output.shape[1])


def _shared_ways(task: str, ways: int | None, output: Tensor, example_y: Any) -> int:
    """Return how many classes the example of a shared head has."""
    if task == "regression":
        raise InputError("a shared head is for classification", hint="use torch.nn.Linear")
    if output.ndim != 2 or output.shape[1] != 1:
        raise InputError(
            "a shared head's output must be the model's",
            got=f"shape {tuple(output.shape)}",
            expected="(n, 1): one logit for the one row of the init",
        )
    if ways is None:
        if example_y is None:
            raise InputError("how many ways had the training?", hint="pass ways or example_y")
        ways = int(torch.as_tensor(example_y).max()) + 1
    if not 2 <= ways <= bundle.MAX_WAYS:
        raise InputError("ways is out of range", got=ways, expected=f"2..{bundle.MAX_WAYS}")
    return ways


def _state_tensors(
    lowered: LoweredLoop, tensors: Mapping[str, Tensor], kind: Literal["parameter", "buffer"]
) -> list[StateTensor]:
    return [
        StateTensor(n, tuple(t.shape), _dtype(t), kind, n in lowered.per_class)
        for n, t in tensors.items()
    ]


def _targets(example_y: Any, task: str, ways: int | None, output: Tensor) -> Tensor:
    """Return labels or targets for the example, made up where none are given."""
    if example_y is None:
        if ways is not None:
            return torch.arange(len(output)) % ways
        return output + torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    dtype = torch.int64 if task == "classification" else torch.float32
    y = torch.as_tensor(example_y).to(dtype)
    expected = output.shape[:1] if task == "classification" else output.shape
    if y.shape != expected or (ways is not None and not bool(((y >= 0) & (y < ways)).all())):
        raise InputError(
            "example_y does not fit example_x and the model",
            got=f"shape {tuple(y.shape)}, values {y.min()}..{y.max()}",
            expected=f"shape {tuple(expected)}"
            + ("" if ways is None else f", labels 0..{ways - 1}"),
        )
    return y


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
