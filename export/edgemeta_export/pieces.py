"""The inner loop as three lowered functions: one step, the last look at the support, prediction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.export import ExportedProgram

from edgemeta import bundle
from edgemeta.meta.inner import InnerLoop, State
from edgemeta.meta.updates import SGD, Rates
from edgemeta_export.aten_passes import fold_rate, sink_relu
from edgemeta_export.checks import check_ops
from edgemeta_export.lower import lower
from edgemeta_export.recurrent import one_op_recurrence
from edgemeta_export.trace import Argument, GraphPass, trace

LR = "lr"
RATE = "rate/{}"
INDEX = "index"
LOSS = "loss"

EDITS: dict[str, GraphPass] = {"fold_rate": fold_rate, "sink_relu": sink_relu}
LOWERINGS = (*EDITS, "layout", "recurrent")
"""What makes a traced step faster before it becomes ONNX; each may be left out."""


@dataclass(frozen=True)
class Pieces:
    """Lowered functions; inputs and outputs carry torch names or those of `edgemeta.bundle`.

    Attributes:
        init: the values of the state, of the frozen tensors, and of the moments.
        rates: learning rates of each parameter, `rate/<param>`; empty where one serves for all.
        ways: classes of the head; None for regression, where nothing below has an input `ways`.
        step: (params, buffers, frozen, moments, rates, ways, support_x, support_y, lr, index) ->
            (<param>.next, <moment>.next, loss); lr multiplies the rates, or is the rate.
        finish: (params, buffers, frozen, ways, support_x, support_y) -> (<buffer>.next, loss).
        predict: (params, buffers, frozen, ways, query_x) -> (logits or output).
    """

    init: State
    rates: dict[str, Tensor]
    ways: int | None
    step: ir.Model
    finish: ir.Model
    predict: ir.Model


def lower_inner_loop(
    loop: InnerLoop,
    ways: int | None,
    lr: Rates,
    x: Tensor,
    y: Tensor,
    without: Collection[str] = (),
) -> Pieces:
    """Trace and lower the functions of an inner loop.

    Args:
        loop: the inner loop.
        ways: classes of the head; None for regression.
        lr: inner learning rate, or rates.
        x: (S, *input_shape) example samples, S >= 2.
        y: (S,) labels or (S, *target_shape) targets.
        without: names in `LOWERINGS` to leave out.

    Raises:
        UnsupportedModelError: an op has neither a translation nor a rule.
    """
    init = loop.init().as_leaves()
    params = {name: p.detach() for name, p in init.params.items()}
    frozen = {name: t.detach() for name, t in init.frozen.items()}
    init = init._replace(params=params, frozen=frozen)
    known = [init.params, init.buffers, frozen]
    output = bundle.prediction_name("regression" if ways is None else "classification")
    # A dict, because regression has no such input.
    task = {} if ways is None else {bundle.WAYS: torch.tensor(ways)}
    rates = {RATE.format(n): r for n, r in lr.items()} if isinstance(lr, Mapping) else {}

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
        scaled = {n: rates[RATE.format(n)] * lr for n in p} if rates else lr
        start = State(p, b, f, m, task.get(bundle.WAYS)).as_leaves()
        state, loss = loop.step(start, x, y, scaled, index)
        moved = state.params | state.moments
        return {bundle.next_name(n): t for n, t in moved.items()} | {LOSS: loss}

    def finish(p: Any, b: Any, f: Any, task: Any, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            state, loss = loop.finish(State(p, b, f, {}, task.get(bundle.WAYS)), x, y)
        return {bundle.next_name(n): t for n, t in state.buffers.items()} | {LOSS: loss}

    def predict(p: Any, b: Any, f: Any, task: Any, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return {output: loop.predict(State(p, b, f, {}, task.get(bundle.WAYS)), x)}

    support = {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y}
    moved = [bundle.next_name(name) for name in (*init.params, *init.moments)]
    statistics = [bundle.next_name(name) for name in init.buffers]
    numbers = {LR: torch.tensor(0.1), INDEX: torch.tensor(2)}
    edits = [edit for name, edit in EDITS.items() if name not in without]
    # Only one rate for all, and nothing but gradient descent, make a step linear in the gradient.
    step_edits = edits if loop.update == SGD and not rates else [e for e in edits if e != fold_rate]
    layout = "layout" not in without
    with nullcontext() if "recurrent" in without else one_op_recurrence(loop.model):
        traced = _trace(
            step, [*known, init.moments, rates, task], support | numbers, frozen, step_edits, layout
        )
        last = _trace(finish, [*known, task], support, frozen, edits, layout)
        query = _trace(predict, [*known, task], {bundle.QUERY_X: x}, frozen, edits, layout)
    check_ops(traced.program, loop, x, y)
    return Pieces(
        init,
        rates,
        ways,
        step=traced.lower([*moved, LOSS]),
        finish=last.lower([*statistics, LOSS]),
        predict=query.lower([output]),
    )


@dataclass(frozen=True)
class _Traced:
    """A traced function and the names of its inputs."""

    program: ExportedProgram
    inputs: list[str]

    def lower(self, outputs: list[str]) -> ir.Model:
        """Lower it, with names for its outputs."""
        return lower(self.program, self.inputs, outputs)


def _trace(
    function: Callable[..., Any],
    known: list[dict[str, Tensor]],
    others: dict[str, Tensor],
    frozen: dict[str, Tensor],
    edits: Sequence[GraphPass],
    layout: bool,
) -> _Traced:
    """Trace a function of some dicts of tensors, and of samples and plain numbers."""
    arguments: list[Argument] = [*known, *others.values()]
    batched = [False] * len(known) + [tensor.ndim > 0 for tensor in others.values()]
    fixed = [argument is frozen for argument in arguments]
    names = [name for tensors in known for name in tensors] + [*others]
    return _Traced(
        trace(function, arguments, batched, fixed=fixed, passes=edits, layout=layout), names
    )
