"""The outer gradient of a batch of tasks, by whichever way is fastest here.

Tasks are cut into chunks; the tasks of a chunk are computed at once (`StackedLoop`), and the chunks
by several threads, each with a copy of the model that shares its parameters. On a CPU one task at a
time on every core is the fastest for convolutions, whose batched form is slow there, and all tasks
at once for small perceptrons; on a GPU batching wins. The sum over chunks runs in their order, so
the result does not depend on which thread was first.

Where only the head adapts, and the body sees each sample alone, the body runs once for all samples
of a chunk (Raghu et al. 2020, "Rapid Learning or Feature Reuse?", section 4: ANIL).

What is computed for a chunk is the same in each outer step, so it may be recorded once, and run
without Python and autograd from then on (`edgemeta.meta.outer._recorded_step`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.norms import takes_batch_statistics
from edgemeta.meta.inner.objective import Ask, Tasks, displacement, query_loss
from edgemeta.meta.inner.rates import learned
from edgemeta.meta.inner.stacked import StackedLoop
from edgemeta.meta.inner.updates import Rates
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.outer._cuda_graph import as_cuda_graph
from edgemeta.meta.outer._recorded_step import record_ops
from edgemeta.meta.runs.algorithms import Strategy


class Plan(NamedTuple):
    """How a batch of tasks is computed.

    Attributes:
        chunk: tasks computed at once.
        workers: threads that take chunks.
        recorded: whether a chunk's gradient is recorded once and then run without Python.
    """

    chunk: int
    workers: int
    recorded: bool = False


def plans(strategy: Strategy, tasks: int, threads: int, chunk: int = 0) -> tuple[Plan, ...]:
    """Return the plans that a strategy allows, in order of preference.

    Args:
        strategy: "loop" takes one task at a time, "workers" one in each thread, "vmap" several at
            once in each thread; "auto" allows all of them.
        tasks: in a batch.
        threads: CPU threads at hand; 0 on a GPU. There all tasks at once are preferred: what that
            gains once steps are captured is more than measuring sees, which runs them op by op.
        chunk: tasks at once with "vmap"; 0 for an equal share of them for each thread.
    """
    preferred = ("workers", "loop", "vmap") if threads else ("vmap", "loop")
    threads = max(threads, 1)
    at_once = min(chunk, tasks) if chunk else -(-tasks // threads)
    workers = min(threads, tasks)
    known = {
        "loop": Plan(1, 1),
        "workers": Plan(1, workers),
        "vmap": Plan(at_once, min(threads, -(-tasks // at_once))),
    }
    if strategy != "auto":
        return (known[strategy],)
    return tuple(dict.fromkeys(known[name] for name in preferred))


LOOP = Plan(1, 1)


class _Worker:
    """What one thread needs for itself: `functional_call` swaps the tensors of its model."""

    def __init__(self, loop: InnerLoop) -> None:
        shared = [*loop.model.parameters(), *loop.model.buffers()]
        model = copy.deepcopy(loop.model, {id(tensor): tensor for tensor in shared})
        self.body: FewShotModel | None = None
        if _head_alone(loop):
            assert isinstance(model, FewShotModel)  # noqa: S101
            self.body, model = model, _Head(model)
        self.plain = InnerLoop(model, loop.loss, loop.adapted, loop.update)
        self.stacked = StackedLoop.like(self.plain)


class _Head(nn.Module):
    """The head of a model as a model of its own, that maps features to outputs."""

    def __init__(self, model: FewShotModel) -> None:
        super().__init__()
        self.head = model.head
        self._read = model.read

    def forward(self, features: Tensor) -> Tensor:
        return self._read(features)


@dataclass
class Engine:
    """Computes outer gradients.

    Args:
        loop: the inner loop of the model that is trained.
        rates: the inner rates; where they are learned, they get gradients too.
        objective: "query" or "displacement", see `edgemeta.meta.inner.objective`.
        plan: how to compute a batch.
        threads: CPU threads at hand; the workers of a plan share them. 0 on a GPU.
        precision: "bf16" computes the forwards of a GPU in bfloat16.
        trained: names of the parameters that the outer optimizer moves; None for all.
    """

    loop: InnerLoop
    rates: Rates
    objective: Literal["query", "displacement"] = "query"
    plan: Plan = LOOP
    threads: int = 1
    precision: str = "float32"
    trained: Sequence[str] | None = None

    def __post_init__(self) -> None:
        self._workers: SimpleQueue[_Worker] = SimpleQueue()
        self._pool: ThreadPoolExecutor | None = None
        self._recorded: dict[tuple[Any, ...], Callable[..., tuple[Tensor, ...]]] = {}
        self.use(self.plan)

    @property
    def leaves(self) -> list[Tensor]:
        """What the outer optimizer moves: trained parameters of the model, and learned rates."""
        own = dict(self.loop.model.named_parameters())
        names = own if self.trained is None else self.trained
        return [*(own[name] for name in names), *learned(self.rates)]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.loop.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the model."""
        return next(self.loop.model.parameters()).dtype

    def use(self, plan: Plan) -> None:
        """Compute the following batches by another plan."""
        self.close()
        self.plan = plan
        self._workers = SimpleQueue()
        for _ in range(plan.workers):
            self._workers.put(_Worker(self.loop))
        if plan.workers > 1:
            self._pool = ThreadPoolExecutor(plan.workers)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def drop_gradients(self) -> None:
        """Forget what was accumulated."""
        for leaf in self.leaves:
            leaf.grad = None

    def accumulate(self, tasks: Tasks, ask: Ask, share: float) -> float:
        """Add the gradient of a batch's losses, each times `share`, to `.grad` of the leaves.

        Returns:
            The sum of the losses, times `share`.
        """
        count = len(tasks.support_x)
        chunks = [
            tasks.select(slice(k, k + self.plan.chunk)) for k in range(0, count, self.plan.chunk)
        ]
        before = torch.get_num_threads()
        # Without this, each worker would take as many threads as there are cores.
        torch.set_num_threads(max(1, self.threads // self.plan.workers))
        try:
            return self._add_up(chunks, ask, share)
        finally:
            torch.set_num_threads(before)

    def _add_up(self, chunks: Sequence[Tasks], ask: Ask, share: float) -> float:
        """Compute the chunks, and add their gradients in their order."""
        gradient = partial(self.gradient, ask=ask)
        if self.plan.recorded and _can_be_recorded(ask):
            for chunk in chunks:
                self._record(chunk, ask)  # here, not in the threads: recording is not for several
            gradient = partial(self._recorded_gradient, ask=ask)
        results = (self._pool.map if self._pool else map)(gradient, chunks)
        total = 0.0
        for loss, *grads in results:
            total += float(loss) * share
            for leaf, grad in zip(self.leaves, grads, strict=True):
                if leaf.grad is None:
                    leaf.grad = torch.zeros_like(leaf)
                leaf.grad.add_(grad, alpha=share)
        return total

    def gradient(self, tasks: Tasks, ask: Ask) -> tuple[Tensor, ...]:
        """Return the sum of a chunk's losses (), then its gradient by leaf."""
        worker = self._workers.get()
        try:
            with self._autocast():
                losses, target = self._losses(worker, tasks, ask)
            grads = torch.autograd.grad(
                target, self.leaves, allow_unused=True, materialize_grads=True
            )
            return losses.detach().sum(), *grads
        finally:
            self._workers.put(worker)

    def _recorded_gradient(self, tasks: Tasks, ask: Ask) -> tuple[Tensor, ...]:
        """Return what `gradient` does, from the record."""
        return self._recorded[_kind(tasks, ask)](*self._given(tasks, ask))

    def _given(self, tasks: Tasks, ask: Ask) -> list[Tensor]:
        """Return what changes from batch to batch: the tasks, and the weights of the steps."""
        given = [tensor for tensor in tasks if tensor is not None]
        if len(ask.weights):
            given.append(torch.as_tensor(ask.weights, dtype=self.dtype, device=self.device))
        return given

    def _record(self, tasks: Tasks, ask: Ask) -> None:
        """Record the gradient of chunks of this size, unless that is done.

        Raises:
            EdgemetaError: see `record_ops`.
            RuntimeError: see `as_cuda_graph`.
        """
        if _kind(tasks, ask) in self._recorded:
            return

        def gradient(*tensors: Tensor) -> tuple[Tensor, ...]:
            if not len(ask.weights):
                return self.gradient(Tasks(*tensors), ask)
            *samples, weights = tensors
            return self.gradient(Tasks(*samples), replace(ask, weights=weights))

        given = self._given(tasks, ask)
        model = self.loop.model
        reads = [*model.parameters(), *model.buffers(), *learned(self.rates)]
        record = record_ops(gradient, given, reads)
        if self.device.type == "cuda":
            record = as_cuda_graph(record, given)
        self._recorded[_kind(tasks, ask)] = record

    def _losses(self, worker: _Worker, tasks: Tasks, ask: Ask) -> tuple[Tensor, Tensor]:
        if worker.body is not None:
            tasks = _as_features(worker.body, tasks)
        loop = worker.plain
        init = loop.grow_for(loop.init(), tasks.support_y)
        if len(tasks.support_x) == 1:
            tasks = tasks.select(0)
        else:
            loop, init = worker.stacked, worker.stacked.stack(init, len(tasks.support_x))
        if self.objective == "displacement":
            return displacement(loop, init, self.rates, tasks, ask)
        losses = query_loss(loop, init, self.rates, tasks, ask)
        return losses, losses.sum()

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _can_be_recorded(ask: Ask) -> bool:
    """Whether a step can be recorded; one that drops activations would keep them in a record."""
    return not ask.checkpointing


def _kind(tasks: Tasks, ask: Ask) -> tuple[Any, ...]:
    """Return what a record depends on."""
    sizes = ((tensor.shape, tensor.dtype) for tensor in tasks if tensor is not None)
    return replace(ask, weights=()), len(ask.weights), *sizes


def _head_alone(loop: InnerLoop) -> bool:
    """Whether only the head adapts, to features that the body makes of each sample alone."""
    return (
        isinstance(loop.model, FewShotModel)
        and all(name.startswith("head.") for name in loop.adapted)
        and not any(takes_batch_statistics(module) for module in loop.model.modules())
    )


def _as_features(body: FewShotModel, tasks: Tasks) -> Tasks:
    """Run the body once over all samples: (T, S, *shape) and (T, Q, *shape) to (T, ., D)."""
    x = torch.cat([tasks.support_x, tasks.query_x], 1)
    # (T, S + Q, *shape) -> (T * (S + Q), *shape) -> (T * (S + Q), D) -> (T, S + Q, D)
    features = body.features(x.flatten(0, 1)).view(*x.shape[:2], -1)
    support = tasks.support_x.shape[1]
    return tasks._replace(support_x=features[:, :support], query_x=features[:, support:])
