"""The inner loop, written once: meta-training differentiates it, export traces it.

One inner step is MAML's equation 1 (Finn et al. 2017, https://arxiv.org/abs/1703.03400), unless
another update is chosen (see `edgemeta.meta.inner.updates`):

    params' = params - lr * d loss(params, support) / d params

Norm statistics follow the inductive reading: after the last step they are those of the support
set under the adapted weights, and prediction uses them; a query never sees another query.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.inner._kept_tensors import KeptTensors
from edgemeta.meta.inner.losses import BALANCED, OUT_OF_REACH, Loss
from edgemeta.meta.inner.norms import SupportNorm, with_support_norms
from edgemeta.meta.inner.shared_head import shared_names
from edgemeta.meta.inner.updates import SGD, Rates, Update


class State(NamedTuple):
    """The tensors of a learner, by their torch names.

    Attributes:
        params: what the inner step updates.
        buffers: norm statistics, replaced by those of the support set.
        frozen: everything else that the model reads; the inner loop hands it through.
        moments: what the update remembers from step to step; each adaptation starts it anew.
        ways: () int64, how many of the head's classes there are in this task; None for all.
    """

    params: dict[str, Tensor]
    buffers: dict[str, Tensor]
    frozen: dict[str, Tensor]
    moments: dict[str, Tensor]
    ways: Tensor | None = None

    def as_leaves(self) -> State:
        """Return the same values, cut from whatever graph made them."""
        params = {n: p.detach().requires_grad_() for n, p in self.params.items()}
        buffers = {n: b.detach() for n, b in self.buffers.items()}
        moments = {n: m.detach() for n, m in self.moments.items()}
        return State(params, buffers, self.frozen, moments, self.ways)


class InnerLoop:
    """Adaptation of one model to one support set.

    Args:
        model: maps (N, *input_shape) to (N, ways) logits or (N, *target_shape) outputs. Its batch
            norms in training mode are replaced, in place, by norms that keep support-set
            statistics; those in eval mode keep their running ones. Dropout is off.
        loss: maps (output, y) to a scalar; see `LOSSES`.
        adapt: shell patterns over parameter names: what matches one of them adapts, all else
            stays frozen. A pattern that starts with "!" takes away again: ("*", "!head.*").

        update: how a step moves the parameters.

    Attributes:
        adapted: names of the parameters that adapt.
        statistics: names of the norms' statistics.
        per_class: names of the parameters of a shared head, whose axis 0 counts classes.
        sample_axis: the axis of a support set that counts samples.

    Raises:
        UnsupportedModelError: a pattern matches no parameter, or a matched one is not floating,
            or a shared head does not adapt.
    """

    sample_axis = 0

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        adapt: Sequence[str] = ("*",),
        update: Update = SGD,
    ) -> None:
        self.model = with_support_norms(model).eval()
        self.loss = loss
        self.update = update
        self._kept = KeptTensors(self.model)
        self._norms = [m for m in self.model.modules() if isinstance(m, SupportNorm)]
        self.adapted = matching(dict(self.model.named_parameters()), adapt)
        self.per_class = shared_names(self.model)
        if still := [name for name in self.per_class if name not in self.adapted]:
            raise UnsupportedModelError(
                "a shared head must adapt, or all classes stay the same",
                got=f"frozen: {', '.join(still)}",
                hint="add a pattern for them to `adapt`",
            )
        norm_names = {name for name, m in self.model.named_modules() if isinstance(m, SupportNorm)}
        self.statistics = [
            name for name, _ in self.model.named_buffers() if name.rpartition(".")[0] in norm_names
        ]

    def init(self) -> State:
        """Return the state that every adaptation starts from; the outer loop trains its tensors."""
        tensors = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        params = {name: tensors.pop(name) for name in self.adapted}
        buffers = {name: tensors.pop(name) for name in self.statistics}
        return State(params, buffers, tensors, self.update.start(params))

    def grow(self, state: State, ways: int) -> State:
        """Give a shared head a row for each class of a task.

        Args:
            state: its rows are kept: the init has one, an adapted state one for each class.
            ways: classes to have at least; the new ones start from the model's shared row.

        Returns:
            The state with `ways` rows or more; `state` itself without a shared head.
        """
        if not self.per_class:
            return state
        own = dict(self.model.named_parameters())
        rows = {}
        for name in self.per_class:
            fresh = max(ways - len(state.params[name]), 0)
            # (n, ...) and (1, ...) -> (ways, ...)
            repeated = own[name].expand(fresh, *own[name].shape[1:])
            rows[name] = torch.cat([state.params[name], repeated])
        params = state.params | rows
        return state._replace(params=params, moments=self.update.start(params))

    def grow_for(self, state: State, y: Tensor) -> State:
        """Give a shared head a row for each class of the labels y (S,); see `grow`."""
        return self.grow(state, int(y.max()) + 1) if self.per_class else state

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the model's output for `x` (N, *input_shape), using the state's statistics."""
        return _masked(self._call({**state.frozen, **state.params, **state.buffers}, x), state.ways)

    def step(
        self,
        state: State,
        x: Tensor,
        y: Tensor,
        lr: Rates,
        index: Tensor | int = 0,
        *,
        create_graph: bool = False,
    ) -> tuple[State, Tensor]:
        """Take one inner step.

        Args:
            state: its params must require grad.
            x: (S, *input_shape) support samples.
            y: (S,) int64 labels, or (S, *target_shape) targets.
            lr: the inner learning rate, or rates.
            index: number of the step, from 0.
            create_graph: keep the graph of the gradient, for second-order meta-gradients. Without
                it the result still depends on the init through the identity, which is FOMAML.

        Returns:
            The next state (its statistics are unchanged: see `finish`), and the loss () before it.
        """
        grads, loss = self.gradient(state, x, y, create_graph=create_graph)
        return self.move(state, grads, lr, index), loss

    def gradient(
        self,
        state: State,
        x: Tensor,
        y: Tensor,
        share: Tensor | None = None,
        *,
        create_graph: bool = False,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the gradient of the support loss by parameter, and the loss () itself.

        Args:
            state: its params must require grad.
            x: (S, *input_shape) support samples.
            y: (S,) int64 labels, or (S, *target_shape) targets.
            share: for a slice of a support set, whose results then add up to those of the whole:
                its share () of the samples, or the whole's `class_weights` if the loss is
                one of `BALANCED`.
            create_graph: see `step`.
        """
        return self.gradient_and_output(state, x, y, share, create_graph=create_graph)[:2]

    def gradient_and_output(
        self,
        state: State,
        x: Tensor,
        y: Tensor,
        share: Tensor | None = None,
        *,
        create_graph: bool = False,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return what `gradient` does, and the model's output for the support samples.

        Without norm statistics in the state that output is the same function of state and samples
        as `predict`'s.
        """
        output, _ = self._on_support(state, x)
        loss = self._support_loss(output, y, share)
        grads = torch.autograd.grad(
            loss,
            tuple(state.params.values()),
            torch.ones_like(loss),
            create_graph=create_graph,
            materialize_grads=True,
        )
        return dict(zip(state.params, grads, strict=True)), loss, output

    def move(
        self, state: State, grads: dict[str, Tensor], lr: Rates, index: Tensor | int = 0
    ) -> State:
        """Move the parameters along a gradient; see `step`."""
        params, moments = self.update.apply(state.params, grads, lr, state.moments, index)
        return state._replace(params=params, moments=moments)

    def finish(
        self, state: State, x: Tensor, y: Tensor, share: Tensor | None = None
    ) -> tuple[State, Tensor]:
        """Take the support set's statistics under the adapted weights.

        Returns:
            The state that predicts, and the support loss () after the last step; that of a slice
            with a `share`, see `gradient`.
        """
        output, buffers = self._on_support(state, x)
        return state._replace(buffers=buffers), self._support_loss(output, y, share)

    def adapt(
        self,
        state: State,
        x: Tensor,
        y: Tensor,
        *,
        steps: int,
        lr: Rates,
        order: Literal[0, 1, 2] = 0,
    ) -> State:
        """Take `steps` inner steps, then the support set's statistics.

        Args:
            state: where to start; for order 1 and 2 its params must require grad.
            x: (S, *input_shape) support samples.
            y: (S,) int64 labels, or (S, *target_shape) targets.
            steps: zero returns `state` itself, its statistics included (grown to y's classes).
            lr: the inner learning rate, or rates.
            order: how the result depends on `state`: 0 not at all (adapting for use), 1 as if the
                gradients were constants (FOMAML), 2 fully (MAML).

        Returns:
            The adapted state.
        """
        states = self.trajectory(state, x, y, steps=steps, lr=lr, order=order)
        state = deque(states, maxlen=1).pop()  # the last, and no other is kept
        return self.settled(state, x, y) if steps else state

    def trajectory(
        self,
        state: State,
        x: Tensor,
        y: Tensor,
        *,
        steps: int,
        lr: Rates,
        order: Literal[0, 1, 2] = 0,
        checkpointing: bool = False,
    ) -> Iterator[State]:
        """Yield the state before the first step (grown to y's classes), then after each.

        Their statistics are still those of the start: see `settled`. The arguments are `adapt`'s;
        with `checkpointing` a meta-gradient computes each step anew, and keeps none of them.
        """
        step = partial(checkpoint, self.step, use_reentrant=False) if checkpointing else self.step
        state = self.grow_for(state, y)
        yield state
        state = state._replace(moments=self.update.start(state.params))
        for index in range(steps):
            if order == 0:
                state = state.as_leaves()
            state, _ = step(state, x, y, lr, index, create_graph=order == 2)
            yield state

    def settled(self, state: State, x: Tensor, y: Tensor) -> State:
        """Return a state of a `trajectory` with the support set's statistics: ready to predict."""
        return self.finish(state, x, y)[0] if self.statistics else state

    def _on_support(self, state: State, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output under x's own norm statistics, and those statistics."""
        tensors = {**state.frozen, **state.params, **state.buffers}
        with self.collecting_statistics():
            output = self._call(tensors, x)
        # functional_call writes the buffers that the forward replaced back into `tensors`.
        return _masked(output, state.ways), {name: tensors[name] for name in state.buffers}

    def _call(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        self._kept.drop()
        output: Tensor = functional_call(self.model, tensors, (x,))
        return output

    def _support_loss(self, output: Tensor, y: Tensor, share: Tensor | None) -> Tensor:
        if share is None:
            return self.loss(output, y)
        if self.loss in BALANCED:
            return self.loss(output, y, share)  # type: ignore[call-arg]
        return self.loss(output, y) * share

    @contextmanager
    def collecting_statistics(self) -> Iterator[None]:
        """Within this, support norms normalise by the batch, and take its statistics as theirs."""
        for norm in self._norms:
            norm.training = True
        try:
            yield
        finally:
            for norm in self._norms:
                norm.training = False


def _masked(output: Tensor, ways: Tensor | None) -> Tensor:
    """Put the logits (N, C) of classes that are not in the task out of reach.

    Their probability is exactly zero then, and so is the gradient of their part of the head.
    """
    if ways is None:
        return output
    beyond = torch.arange(output.shape[-1], device=output.device) >= ways
    return output - OUT_OF_REACH * beyond.to(output.dtype)


def matching(
    parameters: dict[str, nn.Parameter], patterns: Sequence[str], what: str = "adapt"
) -> list[str]:
    """Return the names of the parameters that patterns choose; see `InnerLoop`.

    Args:
        parameters: by name.
        patterns: shell patterns; "!" takes away.
        what: how errors call the patterns.
    """
    if not parameters:
        raise UnsupportedModelError("the model has no parameters", hint="there is nothing to adapt")
    chosen: dict[str, bool] = dict.fromkeys(parameters, False)
    for pattern in patterns:
        matched = [name for name in parameters if fnmatchcase(name, pattern.removeprefix("!"))]
        if not matched:
            raise UnsupportedModelError(
                f"{what} pattern {pattern!r} matches no parameter",
                expected="a pattern over " + ", ".join(parameters),
            )
        chosen |= dict.fromkeys(matched, not pattern.startswith("!"))
    names = [name for name, adapts in chosen.items() if adapts]
    if not names:
        raise UnsupportedModelError(
            f"{what} chooses nothing" if what != "adapt" else "nothing adapts",
            got=", ".join(patterns),
            hint='start with a pattern such as "*"',
        )
    if odd := [n for n in names if not parameters[n].is_floating_point()]:
        raise UnsupportedModelError(
            f"only floating-point parameters {what}", got=", ".join(odd), hint=f"narrow `{what}`"
        )
    return names
