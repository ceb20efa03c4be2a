"""Nearest prototype: classify by the mean features of each class, without adapting a weight."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta.bundle import MAX_WAYS, TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.tasks import Episode


class PrototypeAdapter:
    """Predicts the class whose prototype is nearest to a query's features.

    The prototype of a class is the mean of its support samples' features, and minus the squared
    Euclidean distance to it is the class's logit: Snell et al. 2017, "Prototypical Networks for
    Few-shot Learning", equations 1 and 2. See `edgemeta.measure.evaluate.Adapter`.

    Args:
        model: makes the features; it is copied, and its head has no influence.
        input: one raw sample.
        ways: classes of a task in training.

    Attributes:
        task: "classification".
        ways: as given.
        most_ways: the most classes that a task can have.
        input: as given.
        labels: (), as no label has a meaning before the support set.

    Raises:
        InputError: the model has no features.
    """

    task = "classification"

    def __init__(self, model: nn.Module, *, input: TensorSpec, ways: int) -> None:
        if not isinstance(model, FewShotModel):
            raise InputError(
                "prototypes need a model with features",
                got=type(model).__name__,
                expected="a FewShotModel",
            )
        self.ways: int | None = ways
        self.labels: tuple[str, ...] = ()
        self.most_ways: int | None = MAX_WAYS
        self.input = input
        # A copy, because each episode leaves the statistics of its support set in the norms.
        self._model = copy.deepcopy(model)
        self._loop = InnerLoop(self._model, LOSSES["classification"])

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Make the prototypes of the support set, measure the queries' distances to them.

        Args:
            episode: the task.
            steps: without influence: there is nothing to step.

        Returns:
            (Q, ways) logits.
        """
        x, y, queries = (torch.from_numpy(np.ascontiguousarray(a)) for a in episode[:3])
        with torch.no_grad():
            with self._loop.collecting_statistics():
                support = self._model.features(x)
            logits = prototype_logits(support, y, self._model.features(queries))
        found: NDArray[np.float32] = logits.numpy()
        return found


def prototype_logits(support: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Return minus the squared distance of each query to each class's mean.

    Args:
        support: (S, D) features.
        y: (S,) int64 labels 0..ways-1, each at least once.
        queries: (Q, D) features.

    Returns:
        (Q, ways).
    """
    member = nn.functional.one_hot(y).to(support.dtype)  # (S, ways)
    prototypes = member.T @ support / member.sum(0)[:, None]  # (ways, D)
    return -((queries[:, None] - prototypes) ** 2).sum(-1)  # (Q, ways, D) -> (Q, ways)
