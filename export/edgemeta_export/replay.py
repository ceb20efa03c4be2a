"""An episode, adapted to and asked about in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.func import functional_call

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.updates import Rates
from edgemeta.meta.models.split import Split, split_frozen


class Replay(NamedTuple):
    """What adapting and predicting gives.

    Attributes:
        state: the adapted state.
        losses: (steps + 1,).
        output: (Q, ways) or (Q, *target_shape).
    """

    state: State
    losses: Tensor
    output: Tensor


class Episode(NamedTuple):
    """What is adapted to, and asked about afterwards.

    Attributes:
        x: (S, *input_shape) support samples.
        y: (S,) labels or (S, *target_shape) targets.
        query_x: (Q, *input_shape) samples to predict; None for the support samples.
        steps: inner steps.
        lr_scale: multiplies the inner learning rate; a float32.
    """

    x: Tensor
    y: Tensor
    query_x: Tensor | None
    steps: int
    lr_scale: float = 1.0


class SplitLoop:
    """An inner loop that computes what no adapted tensor reaches once, not in every step.

    Args:
        loop: the inner loop.
        split: its model in two parts, see `split_frozen`.

    Example:
        split = SplitLoop.of(loop, x)
        replayed(split or loop, loop.init(), episode, lr)
    """

    def __init__(self, loop: InnerLoop, split: Split) -> None:
        self._loop, self._front = loop, split.front
        self._rest = InnerLoop(split.rest, loop.loss, loop.adapted, loop.update)
        init = loop.init()
        names = {id(t): name for name, t in (init.params | init.buffers | init.frozen).items()}
        tensors = dict(split.front.named_parameters()) | dict(split.front.named_buffers())
        self._names = {own: names[id(t)] for own, t in tensors.items()}

    @classmethod
    def of(cls, loop: InnerLoop, x: Tensor) -> Self | None:
        """Split a loop; None where nothing is frozen in front of what adapts.

        Args:
            loop: the inner loop.
            x: (S, *input_shape) samples.
        """
        if len(loop.adapted) == len(dict(loop.model.named_parameters())):
            return None
        split = split_frozen(loop.model, loop.adapted, x)
        return None if split is None else cls(loop, split)

    def init(self) -> State:
        """Return the state of the whole model that every adaptation starts from."""
        return self._loop.init()

    def behind(
        self, init: State, x: Tensor, query_x: Tensor
    ) -> tuple[InnerLoop, State, Tensor, Tensor]:
        """Compute features, and return what is left to do with them.

        Args:
            init: a state of the whole model.
            x: (S, *input_shape) support samples.
            query_x: (Q, *input_shape) samples to predict.

        Returns:
            A loop over the rest of the model, its state, and the features of both (N, ...).
        """
        tensors = init.params | init.buffers | init.frozen
        weights = {own: tensors[name] for own, name in self._names.items()}
        with torch.no_grad():
            features: Tensor = functional_call(self._front, weights, (x,))
            asked = features
            if not torch.equal(query_x, x):
                asked = functional_call(self._front, weights, (query_x,))
        own = self._rest.init()
        state = init._replace(
            params={name: init.params[name] for name in own.params},
            buffers={name: init.buffers[name] for name in own.buffers},
            frozen={name: tensors[name] for name in own.frozen},
        )
        return self._rest, state, features, asked


def replay(
    loop: InnerLoop, init: State, x: Tensor, y: Tensor, steps: int, *, query_x: Tensor, lr: Rates
) -> Replay:
    """Adapt `init` and predict with PyTorch, noting the losses on the way."""
    state, losses = loop.grow_for(init, y), []
    for index in range(steps):
        state, loss = loop.step(state.as_leaves(), x, y, lr, index)
        losses.append(loss.detach())
    with torch.no_grad():
        state, loss = loop.finish(state, x, y)
        return Replay(state, torch.stack([*losses, loss]), loop.predict(state, query_x))


def replayed(loop: InnerLoop | SplitLoop, init: State, episode: Episode, lr: Rates) -> Replay:
    """Do the same with an episode.

    Args:
        loop: the inner loop, or one that is split.
        init: a state of the whole model.
        episode: what to adapt to, and what to ask.
        lr: inner learning rate, or rates, which the episode scales.
    """
    x, y, query_x, steps, scale = episode
    if isinstance(lr, Mapping):
        lr = {name: rate * scale for name, rate in lr.items()}
    else:
        lr = lr * scale
    query_x = x if query_x is None else query_x
    if isinstance(loop, SplitLoop):
        loop, init, x, query_x = loop.behind(init, x, query_x)
    return replay(loop, init, x, y, steps, query_x=query_x, lr=lr)
