"""The inner loop as three lowered functions: one step, the last look at the support, prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgemeta import bundle
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.losses import balanced_cross_entropy, class_weights
from edgemeta.meta.inner.updates import SGD, Rates
from edgemeta_export.aten_passes import (
    bias_sums,
    fold_rate,
    join_pads,
    plain_softmax,
    sink_relu,
    sizes,
)
from edgemeta_export.checks import check_ops
from edgemeta_export.lower import lower
from edgemeta_export.part import part
from edgemeta_export.program import AtenProgram
from edgemeta_export.quiet import without_collection
from edgemeta_export.recurrent import one_op_recurrence
from edgemeta_export.trace import Argument, GraphPass, trace

LR = "lr"
RATE = "rate/{}"
INDEX = "index"
LOSS = "loss"
SHARE = "share"
GRADIENT = "gradient/{}"

EDITS: dict[str, GraphPass] = {
    "fold_rate": fold_rate,
    "sink_relu": sink_relu,
    "plain_softmax": plain_softmax,
    "join_pads": join_pads,
}
LAST_EDITS: dict[str, GraphPass] = {"bias_sums": bias_sums, "sizes": sizes}
LOWERINGS = (*EDITS, "layout", "tiles", *LAST_EDITS, "recurrent")
"""What makes a traced step faster before it becomes ONNX; each may be left out."""


@dataclass(frozen=True)
class SlicedStep:
    """An inner step in two functions, for a support set that is taken slice by slice.

    Attributes:
        size: samples in a slice; the last one may have fewer.
        share: (params, support_y) -> share (C,), of a whole support set: what each class counts.
            None where a slice counts by its share () of the samples.
        gradient: (params, buffers, frozen, ways, share, support_x, support_y) ->
            (gradient/<param>, loss); of all slices they add up.
        move: (params, moments, rates, gradient/<param>, lr, index) ->
            (<param>.next, <moment>.next).
    """

    size: int
    share: ir.Model | None
    gradient: ir.Model
    move: ir.Model


@dataclass(frozen=True)
class LoweredLoop:
    """Lowered functions; inputs and outputs carry torch names or those of `edgemeta.bundle`.

    Attributes:
        init: the values of the state, of the frozen tensors, and of the moments.
        rates: learning rates of each parameter, `rate/<param>`; empty where one serves for all.
        ways: classes of the head; None for regression and for a shared head, where nothing below
            has an input `ways`.
        per_class: names of a shared head's parameters and moments. `init` has the one shared row
            of each; below, axis 0 is free and counts the classes.
        step: (params, buffers, frozen, moments, rates, ways, support_x, support_y, lr, index) ->
            (<param>.next, <moment>.next, loss); lr multiplies the rates, or is the rate.
        finish: (params, buffers, frozen, ways, support_x, support_y) -> (<buffer>.next, loss);
            of a slice, and of its share too, where the step is sliced.
        predict: (params, buffers, frozen, ways, query_x) -> (logits or output).
    """

    init: State
    rates: dict[str, Tensor]
    ways: int | None
    per_class: tuple[str, ...]
    step: ir.Model | SlicedStep
    finish: ir.Model
    predict: ir.Model


@without_collection()
def lower_inner_loop(
    loop: InnerLoop,
    ways: int | None,
    lr: Rates,
    x: Tensor,
    y: Tensor,
    without: Collection[str] = (),
    chunk: int | None = None,
) -> LoweredLoop:
    """Trace and lower the functions of an inner loop.

    Args:
        loop: the inner loop.
        ways: classes of the head, or of the example with a shared head; None for regression.
        lr: inner learning rate, or rates.
        x: (S, *input_shape) example samples.
        y: (S,) labels or (S, *target_shape) targets.
        without: names in `LOWERINGS` to leave out.
        chunk: samples of the support set in a slice; None takes all at once.

    Raises:
        UnsupportedModelError: an op has neither a translation nor a rule.
    """
    init = _detached(loop.init())
    output = bundle.prediction_name("regression" if ways is None else "classification")
    # A shared head of two rows or more shows which tensors have one for each class.
    example = _detached(loop.grow(loop.init(), max(ways or 0, 2)))
    known = [example.params, example.buffers, example.frozen]
    before, after = (one.params | one.moments for one in (init, example))
    per_class = tuple(n for n, t in after.items() if t.shape != before[n].shape)
    classes = max(ways or 0, 2) if per_class else ways or 0
    if per_class:
        ways = None
    # A dict, because regression and shared heads have no such input.
    task = {} if ways is None else {bundle.WAYS: torch.tensor(ways)}
    rates = {RATE.format(n): r for n, r in lr.items()} if isinstance(lr, Mapping) else {}

    def scaled(rates: Any, lr: Tensor, names: Iterable[str]) -> Rates:
        return {n: rates[RATE.format(n)] * lr for n in names} if rates else lr

    def moved(state: State) -> dict[str, Tensor]:
        return {bundle.next_name(n): t for n, t in (state.params | state.moments).items()}

    def step(
        p: Any,
        b: Any,
        f: Any,
        m: Any,
        rates: Any,
        task: Any,
        x: Tensor,
        y: Tensor,
        lr: Tensor,
        index: Tensor,
    ) -> dict[str, Tensor]:
        start = State(p, b, f, m, task.get(bundle.WAYS)).as_leaves()
        grads, loss, made = loop.gradient_and_output(start, x, y)
        state = loop.move(start, grads, scaled(rates, lr, p), index)
        return moved(state) | {LOSS: loss, output: made}

    def share_of_classes(p: Any, y: Tensor) -> dict[str, Tensor]:
        return {SHARE: class_weights(y, p[per_class[0]].shape[0] if per_class else classes)}

    def gradient(
        p: Any, b: Any, f: Any, task: Any, share: Any, x: Tensor, y: Tensor
    ) -> dict[str, Tensor]:
        start = State(p, b, f, {}, task.get(bundle.WAYS)).as_leaves()
        grads, loss, made = loop.gradient_and_output(start, x, y, share[SHARE])
        return {GRADIENT.format(n): g for n, g in grads.items()} | {LOSS: loss, output: made}

    def move(
        p: Any, m: Any, rates: Any, grads: Any, lr: Tensor, index: Tensor
    ) -> dict[str, Tensor]:
        named = {n: grads[GRADIENT.format(n)] for n in p}
        return moved(loop.move(State(p, {}, {}, m), named, scaled(rates, lr, p), index))

    def finish(
        p: Any, b: Any, f: Any, task: Any, share: Any, x: Tensor, y: Tensor
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            state = State(p, b, f, {}, task.get(bundle.WAYS))
            state, loss = loop.finish(state, x, y, share.get(SHARE))
        return {bundle.next_name(n): t for n, t in state.buffers.items()} | {LOSS: loss}

    def predict(p: Any, b: Any, f: Any, task: Any, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return {output: loop.predict(State(p, b, f, {}, task.get(bundle.WAYS)), x)}

    support = {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y}
    balanced = loop.loss is balanced_cross_entropy
    # A slice has a share; all of a support set has none.
    share = {SHARE: torch.ones(classes) if balanced else torch.tensor(1.0)} if chunk else {}
    outputs = [bundle.next_name(name) for name in (*init.params, *init.moments)]
    statistics = [bundle.next_name(name) for name in init.buffers]
    numbers = {LR: torch.tensor(0.1), INDEX: torch.tensor(2)}
    edits = [edit for name, edit in EDITS.items() if name not in without]
    # Only one rate for all, and nothing but gradient descent, make a step linear in the gradient.
    step_edits = edits if loop.update == SGD and not rates else [e for e in edits if e != fold_rate]
    traced_for = partial(
        _trace,
        frozen=example.frozen,
        per_class=(*per_class, *map(GRADIENT.format, per_class), *([SHARE] if per_class else [])),
        layout="layout" not in without,
        tiles="tiles" not in without,
        last_edits=[edit for name, edit in LAST_EDITS.items() if name not in without],
        model=loop.model,
    )
    whole: ir.Model | SlicedStep
    with nullcontext() if "recurrent" in without else one_op_recurrence(loop.model):
        if chunk is None:
            traced = traced_for(
                step, [*known, example.moments, rates, task], support | numbers, edits=step_edits
            )
        else:
            traced = traced_for(gradient, [*known, task, share], support, edits=edits)
        if statistics:
            last = traced_for(finish, [*known, task, share], support, edits=edits)
            query = traced_for(predict, [*known, task], {bundle.QUERY_X: x}, edits=edits)
    check_ops(traced.program, loop, x, y)
    grads = {GRADIENT.format(n): p.detach() for n, p in example.params.items()}
    moving = outputs if chunk is None else [*grads]
    joint = traced.lower([*moving, LOSS, output])
    found = part(joint, [*moving, LOSS])
    if statistics:
        looked, predicted = last.lower([*statistics, LOSS]), query.lower([output])
    else:
        # Loss and output are the same functions of state and samples in all three.
        looked = part(joint, [LOSS], {name: name for name in support})
        predicted = part(joint, [output], {bundle.SUPPORT_X: bundle.QUERY_X})
    if chunk is None:
        whole = found
    else:
        moves = traced_for(move, [example.params, example.moments, rates, grads], numbers, edits=[])
        counting = None
        if balanced:
            labels = {bundle.SUPPORT_Y: y}
            heads = {n: example.params[n] for n in per_class[:1]}
            counting = traced_for(share_of_classes, [heads], labels, edits=[]).lower([SHARE])
        whole = SlicedStep(chunk, counting, found, moves.lower(outputs))
    return LoweredLoop(
        init,
        rates,
        ways,
        per_class,
        step=whole,
        finish=looked,
        predict=predicted,
    )


def _detached(state: State) -> State:
    params = {name: p.detach() for name, p in state.params.items()}
    frozen = {name: t.detach() for name, t in state.frozen.items()}
    return state.as_leaves()._replace(params=params, frozen=frozen)


@dataclass(frozen=True)
class _Traced:
    """A traced function and the names of its inputs."""

    program: AtenProgram
    inputs: list[str]

    def lower(self, outputs: list[str]) -> ir.Model:
        """Lower it, with names for its outputs."""
        return lower(self.program, self.inputs, outputs)


def _trace(
    function: Callable[..., Any],
    known: list[dict[str, Tensor]],
    others: dict[str, Tensor],
    *,
    frozen: dict[str, Tensor],
    per_class: Collection[str],
    edits: Sequence[GraphPass],
    layout: bool,
    tiles: bool,
    last_edits: Sequence[GraphPass],
    model: nn.Module,
) -> _Traced:
    """Trace a function of some dicts of tensors, and of samples and plain numbers."""
    arguments: list[Argument] = [*known, *others.values()]
    batched = [False] * len(known) + [tensor.ndim > 0 for tensor in others.values()]
    fixed = [argument is frozen for argument in arguments]
    names = [name for tensors in known for name in tensors] + [*others]
    program = trace(
        function,
        arguments,
        batched,
        per_class=per_class,
        fixed=fixed,
        passes=edits,
        layout=layout,
        tiles=tiles,
        last_passes=last_edits,
        model=model,
    )
    return _Traced(program, names)
