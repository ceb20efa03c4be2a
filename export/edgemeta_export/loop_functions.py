"""The functions of an inner loop as the tracer takes them: dicts of tensors in, one dict out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgemeta import bundle
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.losses import class_weights
from edgemeta.meta.inner.updates import Rates

LR = "lr"
RATE = "rate/{}"
INDEX = "index"
LOSS = "loss"
SHARE = "share"
GRADIENT = "gradient/{}"

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class LoopFunctions:
    """What a device computes, as functions of everything that may differ between two calls.

    Their arguments: the tensors of a state, by kind; `rates`, by `rate/<param>`, empty where one
    rate serves for all; `task`, {"ways": ()} or empty; `share`, see `SlicedStep`, or empty; samples
    x and labels or targets y; `lr` () and the step's `index` ().

    Attributes:
        loop: the inner loop.
        output: the name of a prediction.
        classes: of the head in the example.
        shared_row: a parameter whose axis 0 counts the classes; None without a shared head.
    """

    loop: InnerLoop
    output: str
    classes: int
    shared_row: str | None

    def step(
        self,
        params: Tensors,
        buffers: Tensors,
        frozen: Tensors,
        moments: Tensors,
        rates: Tensors,
        task: Tensors,
        x: Tensor,
        y: Tensor,
        lr: Tensor,
        index: Tensor,
    ) -> Tensors:
        """Take one inner step; return what moved, the loss before, and the output before."""
        start = State(params, buffers, frozen, moments, task.get(bundle.WAYS)).as_leaves()
        grads, loss, made = self.loop.gradient_and_output(start, x, y)
        state = self.loop.move(start, grads, _scaled(rates, lr, params), index)
        return _moved(state) | {LOSS: loss, self.output: made}

    def share_of_classes(self, params: Tensors, y: Tensor) -> Tensors:
        """Return what each class of a whole support set counts; see `class_weights`."""
        rows = params[self.shared_row].shape[0] if self.shared_row else self.classes
        return {SHARE: class_weights(y, rows)}

    def gradient(
        self,
        params: Tensors,
        buffers: Tensors,
        frozen: Tensors,
        task: Tensors,
        share: Tensors,
        x: Tensor,
        y: Tensor,
    ) -> Tensors:
        """Return what a slice of the support set adds to the gradient, its loss and output."""
        start = State(params, buffers, frozen, {}, task.get(bundle.WAYS)).as_leaves()
        grads, loss, made = self.loop.gradient_and_output(start, x, y, share[SHARE])
        return {GRADIENT.format(n): g for n, g in grads.items()} | {LOSS: loss, self.output: made}

    def move(
        self,
        params: Tensors,
        moments: Tensors,
        rates: Tensors,
        grads: Tensors,
        lr: Tensor,
        index: Tensor,
    ) -> Tensors:
        """Move the parameters by a gradient, `gradient/<param>`, that the slices add up to."""
        named = {n: grads[GRADIENT.format(n)] for n in params}
        start = State(params, {}, {}, moments)
        return _moved(self.loop.move(start, named, _scaled(rates, lr, params), index))

    def finish(
        self,
        params: Tensors,
        buffers: Tensors,
        frozen: Tensors,
        task: Tensors,
        share: Tensors,
        x: Tensor,
        y: Tensor,
    ) -> Tensors:
        """Return the statistics that the last look at the support set leaves, and its loss."""
        with torch.no_grad():
            state = State(params, buffers, frozen, {}, task.get(bundle.WAYS))
            state, loss = self.loop.finish(state, x, y, share.get(SHARE))
        return {bundle.next_name(n): t for n, t in state.buffers.items()} | {LOSS: loss}

    def predict(
        self, params: Tensors, buffers: Tensors, frozen: Tensors, task: Tensors, x: Tensor
    ) -> Tensors:
        """Predict."""
        with torch.no_grad():
            state = State(params, buffers, frozen, {}, task.get(bundle.WAYS))
            return {self.output: self.loop.predict(state, x)}


def _scaled(rates: Mapping[str, Tensor], lr: Tensor, names: Iterable[str]) -> Rates:
    """Return the learned rates times `lr`, or `lr` where there are none."""
    return {n: rates[RATE.format(n)] * lr for n in names} if rates else lr


def _moved(state: State) -> Tensors:
    return {bundle.next_name(n): t for n, t in (state.params | state.moments).items()}
