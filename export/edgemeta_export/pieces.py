"""The inner loop as three lowered functions: one step, the last look at the support, prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor

from edgemeta import bundle
from edgemeta.meta.inner import InnerLoop, State
from edgemeta_export.lower import lower
from edgemeta_export.trace import Argument, trace

LR = "lr"
LOSS = "loss"


@dataclass(frozen=True)
class Pieces:
    """Lowered functions; inputs and outputs carry torch names or those of `edgemeta.bundle`.

    Attributes:
        init: the values of the state and of the frozen tensors.
        step: (params, buffers, frozen, support_x, support_y, lr) -> (<param>.next, loss).
        finish: (params, buffers, frozen, support_x, support_y) -> (<buffer>.next, loss).
        predict: (params, buffers, frozen, query_x) -> (logits or output).
    """

    init: State
    step: ir.Model
    finish: ir.Model
    predict: ir.Model


def lower_inner_loop(loop: InnerLoop, task: str, x: Tensor, y: Tensor) -> Pieces:
    """Trace and lower the functions of an inner loop.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        x: (S, *input_shape) example samples, S >= 2.
        y: (S,) labels or (S, *target_shape) targets.

    Raises:
        UnsupportedModelError: an op has neither a translation nor a rule.
    """
    init = State(*({n: t.detach() for n, t in part.items()} for part in loop.init()))

    def step(p: Any, b: Any, f: Any, x: Tensor, y: Tensor, lr: Tensor) -> dict[str, Tensor]:
        state, loss = loop.step(State(p, b, f).as_leaves(), x, y, lr)
        return {bundle.next_name(n): t for n, t in state.params.items()} | {LOSS: loss}

    def finish(p: Any, b: Any, f: Any, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            state, loss = loop.finish(State(p, b, f), x, y)
        return {bundle.next_name(n): t for n, t in state.buffers.items()} | {LOSS: loss}

    def predict(p: Any, b: Any, f: Any, x: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return {bundle.prediction_name(task): loop.predict(State(p, b, f), x)}

    support = {bundle.SUPPORT_X: x, bundle.SUPPORT_Y: y}
    next_params = [bundle.next_name(name) for name in init.params]
    next_buffers = [bundle.next_name(name) for name in init.buffers]
    lr = {LR: torch.tensor(0.1)}
    return Pieces(
        init,
        step=_lower(step, init, support | lr, [*next_params, LOSS]),
        finish=_lower(finish, init, support, [*next_buffers, LOSS]),
        predict=_lower(predict, init, {bundle.QUERY_X: x}, [bundle.prediction_name(task)]),
    )


def _lower(
    function: Callable[..., Any], init: State, others: dict[str, Tensor], outputs: list[str]
) -> ir.Model:
    arguments: list[Argument] = [*init, *others.values()]
    batched = [False] * len(init) + [tensor.ndim > 0 for tensor in others.values()]
    names = [*init.params, *init.buffers, *init.frozen, *others]
    return lower(trace(function, arguments, batched), names, outputs)
