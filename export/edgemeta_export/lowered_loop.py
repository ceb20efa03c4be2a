"""The inner loop as three lowered functions: one step, the last look at the support, prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor

from edgemeta import bundle
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.losses import BALANCED
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
from edgemeta_export.loop_functions import (
    GRADIENT,
    INDEX,
    LOSS,
    LR,
    RATE,
    SHARE,
    LoopFunctions,
)
from edgemeta_export.lower import lower
from edgemeta_export.part import part
from edgemeta_export.program import AtenProgram
from edgemeta_export.quiet import without_collection
from edgemeta_export.recurrent import one_op_recurrence
from edgemeta_export.trace import Argument, GraphPass, trace

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
    tracer = _LoopTracer(loop, ways, lr, x, y, without, is_sliced=chunk is not None)
    output, init = tracer.functions.output, tracer.init
    statistics = [bundle.next_name(name) for name in init.buffers]
    last = query = None
    with nullcontext() if "recurrent" in without else one_op_recurrence(loop.model):
        traced = tracer.step() if chunk is None else tracer.gradient()
        if statistics:
            last, query = tracer.finish(), tracer.predict()
    check_ops(traced.program, loop, x, y)
    changed = [*tracer.moving] if chunk is None else [*tracer.gradients]
    joint = traced.lower([*changed, LOSS, output])
    found = part(joint, [*changed, LOSS])
    if last and query:
        looked, predicted = last.lower([*statistics, LOSS]), query.lower([output])
    else:
        # Loss and output are the same functions of state and samples in all three.
        looked = part(joint, [LOSS], {name: name for name in tracer.support})
        predicted = part(joint, [output], {bundle.SUPPORT_X: bundle.QUERY_X})
    return LoweredLoop(
        init,
        tracer.rates,
        tracer.ways,
        tracer.per_class,
        step=found if chunk is None else tracer.sliced_step(chunk, found),
        finish=looked,
        predict=predicted,
    )


class _LoopTracer:
    """Traces the functions of one inner loop, all for the same example.

    Args:
        is_sliced: whether the support set comes in slices, each with its share.
        others: see `lower_inner_loop`.

    Attributes:
        functions: what is traced.
        init, rates, ways, per_class: see `LoweredLoop`.
        support: the example's samples and labels.
        moving: what a step moves, as `<name>.next`.
        gradients: an example of what the slices add up to.
    """

    def __init__(
        self,
        loop: InnerLoop,
        ways: int | None,
        lr: Rates,
        x: Tensor,
        y: Tensor,
        without: Collection[str],
        *,
        is_sliced: bool,
    ) -> None:
        self.init = _detached(loop.init())
        # A shared head of two rows or more shows which tensors have one for each class.
        self._example = _detached(loop.grow(loop.init(), max(ways or 0, 2)))
        before, after = (one.params | one.moments for one in (self.init, self._example))
        self.per_class = tuple(n for n, t in after.items() if t.shape != before[n].shape)
        classes = max(ways or 0, 2) if self.per_class else ways or 0
        self.ways = None if self.per_class else ways
        self.rates = {RATE.format(n): r for n, r in lr.items()} if isinstance(lr, Mapping) else {}
        self.support = {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y}
        self.moving = [bundle.next_name(n) for n in (*self.init.params, *self.init.moments)]
        self.gradients = {GRADIENT.format(n): p for n, p in self._example.params.items()}
        self.functions = LoopFunctions(
            loop,
            bundle.prediction_name("regression" if ways is None else "classification"),
            classes,
            shared_row=self.per_class[0] if self.per_class else None,
        )
        self._without = without
        self._is_balanced = loop.loss in BALANCED
        self._known = [self._example.params, self._example.buffers, self._example.frozen]
        # A dict, because regression and shared heads have no such input.
        self._task = {} if self.ways is None else {bundle.WAYS: torch.tensor(self.ways)}
        # A slice has a share; all of a support set has none.
        share = torch.ones(classes) if self._is_balanced else torch.tensor(1.0)
        self._share = {SHARE: share} if is_sliced else {}
        self._numbers = {LR: torch.tensor(0.1), INDEX: torch.tensor(2)}
        self._edits = [edit for name, edit in EDITS.items() if name not in without]

    def step(self) -> _Traced:
        """Trace a whole step."""
        # Only one rate for all, and nothing but gradient descent, make it linear in the gradient.
        is_linear = self.functions.loop.update == SGD and not self.rates
        edits = [edit for edit in self._edits if is_linear or edit != fold_rate]
        known = [*self._known, self._example.moments, self.rates, self._task]
        return self._trace(self.functions.step, known, self.support | self._numbers, edits)

    def gradient(self) -> _Traced:
        """Trace what a slice adds to a step's gradient."""
        known = [*self._known, self._task, self._share]
        return self._trace(self.functions.gradient, known, self.support, self._edits)

    def finish(self) -> _Traced:
        """Trace the last look at the support set."""
        known = [*self._known, self._task, self._share]
        return self._trace(self.functions.finish, known, self.support, self._edits)

    def predict(self) -> _Traced:
        """Trace a prediction."""
        query = {bundle.QUERY_X: self.support[bundle.SUPPORT_X]}
        known = [*self._known, self._task]
        return self._trace(self.functions.predict, known, query, self._edits)

    def sliced_step(self, size: int, gradient: ir.Model) -> SlicedStep:
        """Lower what a step of slices needs besides its gradient."""
        known = [self._example.params, self._example.moments, self.rates, self.gradients]
        move = self._trace(self.functions.move, known, self._numbers, []).lower(self.moving)
        share = None
        if self._is_balanced:
            rows = {n: self._example.params[n] for n in self.per_class[:1]}
            labels = {bundle.SUPPORT_Y: self.support[bundle.SUPPORT_Y]}
            traced = self._trace(self.functions.share_of_classes, [rows], labels, [])
            share = traced.lower([SHARE])
        return SlicedStep(size, share, gradient, move)

    def _trace(
        self,
        function: Callable[..., Any],
        known: list[dict[str, Tensor]],
        others: dict[str, Tensor],
        edits: Sequence[GraphPass],
    ) -> _Traced:
        """Trace a function of some dicts of tensors, and of samples and plain numbers."""
        arguments: list[Argument] = [*known, *others.values()]
        of_classes = [*self.per_class, *map(GRADIENT.format, self.per_class)]
        program = trace(
            function,
            arguments,
            batched=[False] * len(known) + [tensor.ndim > 0 for tensor in others.values()],
            per_class=[*of_classes, SHARE] if self.per_class else [],
            fixed=[argument is self._example.frozen for argument in arguments],
            passes=edits,
            layout="layout" not in self._without,
            tiles="tiles" not in self._without,
            last_passes=[e for name, e in LAST_EDITS.items() if name not in self._without],
            model=self.functions.loop.model,
        )
        return _Traced(program, [name for tensors in known for name in tensors] + [*others])


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
