"""Classifiers on the features of a model, which adapt no weight of it.

| function | a query belongs to the class | source |
|---|---|---|
| `prototype_logits` | whose mean is nearest | Snell et al. 2017, equations 1 and 2 |
| `cosine_logits` | whose mean is nearest by angle | Wang et al. 2019, section 3.1: CL2N |
| `logistic_logits` | that a logistic regression names | Tian et al. 2020, section 3.2 |

"Prototypical Networks for Few-shot Learning"; "SimpleShot: Revisiting Nearest-Neighbor
Classification for Few-Shot Learning", where angles are seen from the mean of the training part;
"Rethinking Few-Shot Image Classification: a Good Embedding Is All You Need?".
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgemeta.bundle import MAX_WAYS, TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.models.neck import SCALE
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.tasks import Episode
from edgemeta.tasks.classes import ClassSource

Classify = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Support features (S, D), their labels (S,), query features (Q, D) -> logits (Q, ways)."""

MEAN_SAMPLES = 1000  # of the training part, for its mean
MEAN_BATCH = 250
FIT_ITERATIONS = 100  # of L-BFGS, at most; most fits need 20


class FeatureAdapter:
    """Classifies queries by the features of the support set; see `measure.evaluate.Adapter`.

    Args:
        model: makes the features; it is copied, and its head has no influence.
        classify: what is done with them.
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
    labels: tuple[str, ...] = ()

    def __init__(
        self, model: nn.Module, classify: Classify, *, input: TensorSpec, ways: int
    ) -> None:
        if not isinstance(model, FewShotModel):
            raise InputError(
                "a classifier on features needs a model that has them",
                got=type(model).__name__,
                expected="a FewShotModel",
            )
        self.ways: int | None = ways
        self.most_ways: int | None = MAX_WAYS
        self.input = input
        self._classify = classify
        # A copy, because each episode leaves the statistics of its support set in the norms.
        self._model = copy.deepcopy(model)
        self._loop = InnerLoop(self._model, LOSSES["classification"])

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Classify the queries by the support set.

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
            found = self._model.features(queries)
        logits: NDArray[np.float32] = self._classify(support, y, found).numpy()
        return logits

    def training_mean(self, source: ClassSource) -> Tensor:
        """Return the mean feature (D,) of samples of the training part."""
        samples, _ = source.labelled("train", MEAN_SAMPLES, np.random.default_rng(0))
        x = torch.from_numpy(np.ascontiguousarray(samples))
        parts = (x[k : k + MEAN_BATCH] for k in range(0, len(x), MEAN_BATCH))
        with torch.no_grad(), self._loop.collecting_statistics():
            return torch.cat([self._model.features(part) for part in parts]).mean(0)

    def classifying(self, classify: Classify) -> FeatureAdapter:
        """Return an adapter that does something else with the same features."""
        made = copy.copy(self)
        made._classify = classify
        return made


def prototype_logits(support: Tensor, y: Tensor, queries: Tensor) -> Tensor:
    """Return minus the squared distance of each query to each class's mean; see `Classify`."""
    prototypes = _means(support, y)
    return -((queries[:, None] - prototypes) ** 2).sum(-1)  # (Q, ways, D) -> (Q, ways)


def cosine_logits(support: Tensor, y: Tensor, queries: Tensor, mean: Tensor) -> Tensor:
    """Return the scaled cosine of each query and each class's mean; see `Classify`.

    Args:
        support: (S, D).
        y: (S,).
        queries: (Q, D).
        mean: (D,) from which the angles are seen.
    """
    unit, asked = (functional.normalize(x - mean, dim=1) for x in (support, queries))
    return SCALE * asked @ functional.normalize(_means(unit, y), dim=1).T


def logistic_logits(support: Tensor, y: Tensor, queries: Tensor, strength: float) -> Tensor:
    """Return what a logistic regression of the support set says; see `Classify`.

    It minimises strength * (sum of the cross entropies) + |weights|^2 / 2, as scikit-learn does
    with C = strength, on features of length 1.

    Args:
        support: (S, D).
        y: (S,).
        queries: (Q, D).
        strength: of the samples against the penalty.
    """
    x, asked = (functional.normalize(each.double(), dim=1) for each in (support, queries))
    # The weights lie in the span of the samples: fewer numbers than features, most often.
    basis = torch.linalg.svd(x, full_matrices=False).Vh  # (min(S, D), D)
    x, asked = x @ basis.T, asked @ basis.T
    ways = int(y.max()) + 1
    weight = torch.zeros(ways, x.shape[1], dtype=x.dtype, requires_grad=True)
    bias = torch.zeros(ways, dtype=x.dtype, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=FIT_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        fit = functional.cross_entropy(x @ weight.T + bias, y, reduction="sum")
        total = strength * fit + (weight**2).sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]
    logits: Tensor = (asked @ weight.T + bias).detach().float()
    return logits


def _means(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean (ways, D) of each class's samples (S, D); each has at least one."""
    member = functional.one_hot(y).to(x.dtype)  # (S, ways)
    return member.T @ x / member.sum(0)[:, None]
