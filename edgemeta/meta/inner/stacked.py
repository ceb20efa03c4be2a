"""The inner loop of several tasks at once: one batched operation in place of one per task."""

from __future__ import annotations

from torch import Tensor
from torch.func import vmap

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.updates import Rates


class StackedLoop(InnerLoop):
    """An inner loop whose states, samples and losses have a leading axis of T tasks.

    The model is mapped over the tasks by `torch.func.vmap`; gradients are taken of the sum of the
    tasks' losses, which is each task's own, as no task sees another's parameters. Everything else
    is `InnerLoop`'s: support_x (T, S, *shape), support_y (T, S, ...), losses (T,).
    """

    sample_axis = 1

    @classmethod
    def like(cls, loop: InnerLoop) -> StackedLoop:
        """Return the stacked form of an inner loop; both share the model."""
        made = cls(loop.model, loop.loss, loop.adapted, loop.update)
        made.loss = vmap(loop.loss)
        return made

    def stack(self, state: State, tasks: int) -> State:
        """Give each of `tasks` tasks the same state; gradients add up over the tasks."""
        params, buffers = (
            {name: t.expand(tasks, *t.shape) for name, t in tensors.items()}
            for tensors in (state.params, state.buffers)
        )
        return state._replace(params=params, buffers=buffers, moments={})

    def grow_for(self, state: State, y: Tensor) -> State:
        """Return the state: a shared head grows before tasks are stacked."""
        return state

    def predict(self, state: State, x: Tensor) -> Tensor:
        """Return the outputs (T, N, ...) for `x` (T, N, *shape), each task with its own state."""

        def one(params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return InnerLoop.predict(self, state._replace(params=params, buffers=buffers), x)

        output: Tensor = vmap(one)(state.params, state.buffers, x)
        return output

    def move(
        self, state: State, grads: dict[str, Tensor], lr: Rates, index: Tensor | int = 0
    ) -> State:
        """Move each task's parameters along its own gradient."""

        def one(
            params: dict[str, Tensor], grads: dict[str, Tensor], moments: dict[str, Tensor]
        ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            return self.update.apply(params, grads, lr, moments, index)

        params, moments = vmap(one)(state.params, grads, state.moments)
        return state._replace(params=params, moments=moments)

    def _on_support(self, state: State, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        def one(
            params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor
        ) -> tuple[Tensor, dict[str, Tensor]]:
            return InnerLoop._on_support(self, state._replace(params=params, buffers=buffers), x)

        result: tuple[Tensor, dict[str, Tensor]] = vmap(one)(state.params, state.buffers, x)
        return result
