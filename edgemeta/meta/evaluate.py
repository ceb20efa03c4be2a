"""A trained run as something to evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta.bundle import MAX_WAYS, TensorSpec
from edgemeta.meta.config import TrainConfig
from edgemeta.meta.inner import InnerLoop, State
from edgemeta.meta.run import DataFacts, Run, head_ways
from edgemeta.meta.updates import Rates
from edgemeta.tasks import Episode


class TorchAdapter:
    """Adapts and predicts with PyTorch, for validation and for comparison with a bundle.

    Attributes:
        task: "classification" or "regression".
        ways: classes of the head, or of the training with a shared head; None for regression.
        most_ways: the most classes that a task can have; None for regression.
        input: one raw sample.
        inner_steps: steps taken unless told otherwise.
        inner_lr: the inner rates.
    """

    def __init__(
        self,
        loop: InnerLoop,
        *,
        input: TensorSpec,
        ways: int | None,
        inner_steps: int,
        inner_lr: Rates,
    ) -> None:
        self.task = "regression" if ways is None else "classification"
        self.ways, self.input = ways, input
        self.most_ways = MAX_WAYS if loop.per_class else ways
        self.inner_steps, self.inner_lr = inner_steps, inner_lr
        self._loop = loop

    @classmethod
    def of(
        cls, loop: InnerLoop, config: TrainConfig, facts: DataFacts, rates: Rates
    ) -> TorchAdapter:
        """Adapt as a run does."""
        return cls(
            loop,
            input=facts.input,
            ways=head_ways(config, facts),
            inner_steps=config.inner_steps,
            inner_lr=rates,
        )

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Adapt the init to the support set, predict the queries.

        Returns:
            (Q, ways) logits or (Q, *target_shape) outputs.
        """
        init = self._loop.init()
        x, y, queries, _ = _tensors(episode, init)
        steps = self.inner_steps if steps is None else steps
        if self.ways is not None:
            init = init._replace(ways=y.max() + 1)
        state = self._loop.adapt(init, x, y, steps=steps, lr=self.inner_lr)
        with torch.no_grad():
            output: NDArray[np.float32] = self._loop.predict(state, queries).cpu().numpy()
        return output if state.ways is None else output[:, : int(state.ways)]


def run_adapter(path: Path, threads: int | None = None) -> TorchAdapter:
    """Return the best checkpoint of the run at `path`, ready to be evaluated.

    Args:
        path: the run's directory.
        threads: of torch, for the whole process; None for those of the run.

    Raises:
        InputError: there is no run, or it has no checkpoint yet.
    """
    trained = Run(path).best()
    torch.set_num_threads(threads or trained.config.cores)
    return TorchAdapter.of(trained.loop(), trained.config, trained.facts, trained.rates)


def _tensors(episode: Episode, like: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    device = next(iter(like.params.values())).device
    sx, sy, qx, qy = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in episode)
    return sx, sy, qx, qy
