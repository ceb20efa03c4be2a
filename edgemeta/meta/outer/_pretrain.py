"""Supervised pre-training, the baseline of meta-learning: all training classes at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.augment.augmentation import AUGMENT_STREAM, Augmentation
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.norms import batch_norms
from edgemeta.meta.models.parts import FewShotModel, NeckedModel
from edgemeta.tasks import TaskSource
from edgemeta.tasks.classes import ClassSource

BATCH_STREAM = 3  # of the seed of a batch, beside those of the three parts' episodes


class Pretraining:
    """Classifies all training classes with a head of its own, on the features of a model.

    The model's own head stays at its start: it is what adapts to a task afterwards. Source: the
    "Baseline" of Chen et al. 2019, "A Closer Look at Few-shot Classification", section 3.2.

    With fixed labels there is no other head: the model's own learns what its rows mean, and the
    model predicts before it adapts.

    Args:
        loop: holds the model.
        source: where samples come from.
        batch: samples per step.
        seed: of the batches.
        trained: names of the model's parameters that move; None for all.
        running: whether batch norms normalise by the batch, and keep a running average.
        augmentation: of the samples; None shows them as they are.

    Attributes:
        classifier: (D) -> one logit for each training class; None with fixed labels.
        moves_body: whether the body is trained, so that a neck has to be fitted to it again.

    Raises:
        InputError: the tasks are no classification.
    """

    def __init__(
        self,
        loop: InnerLoop,
        source: TaskSource,
        batch: int,
        seed: int,
        trained: Sequence[str] | None = None,
        *,
        running: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        if not isinstance(source, ClassSource):
            raise InputError(
                "--objective classes needs classes",
                got=f"{source.name}: {source.kind}",
                hint="for regression, --inner-steps 0 trains on all tasks at once",
            )
        self._loop, self._model, self._source = loop, loop.model, source
        self._batch, self._seed, self._trained = batch, seed, trained
        self._augmentation = augmentation
        moved = dict(loop.model.named_parameters()) if trained is None else trained
        # The neck is fitted to what the body makes, and a body that moves would move under it. In
        # front of a frozen body's classifier the neck is all there is to train.
        self.moves_body = any(not name.startswith(("neck.", "head.")) for name in moved)
        self._batch_norms = batch_norms(loop.model) if running else []
        self._device = next(loop.model.parameters()).device
        self.classifier: nn.Linear | None = None
        if source.fixed:
            return
        if not isinstance(loop.model, FewShotModel):
            raise InputError(
                "--objective classes needs a model of features and a head",
                got=type(loop.model).__name__,
                expected="an edgemeta.meta.parts.FewShotModel",
            )
        features, classes = loop.model.head.in_features, len(source.classes("train"))
        self.classifier = nn.Linear(features, classes, device=self._device)

    @property
    def leaves(self) -> list[Tensor]:
        """What the outer optimizer moves; beside a classifier the own head's gradient is zero."""
        own = dict(self._model.named_parameters())
        names = own if self._trained is None else self._trained
        others = () if self.classifier is None else self.classifier.parameters()
        return [*(own[name] for name in names), *others]

    def accumulate(self, iteration: int) -> float:
        """Add the gradient of batch number `iteration` to `.grad` of the leaves.

        Returns:
            The mean loss.
        """
        rng = np.random.default_rng([self._seed, BATCH_STREAM, iteration])
        x, y = self._source.labelled("train", self._batch, rng)
        samples, labels = (
            torch.from_numpy(np.ascontiguousarray(a)).to(self._device) for a in (x, y)
        )
        if self._augmentation is not None:
            samples = self._augmentation(samples, (self._seed, AUGMENT_STREAM, iteration))
        for norm in self._batch_norms:
            norm.train()
        with self._loop.collecting_statistics():
            logits = self._logits(samples)
        for norm in self._batch_norms:
            norm.eval()
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        for name in self._loop.statistics:  # the next batch must not hold on to this one's graph
            self._model.get_buffer(name).detach_()
        return float(loss.detach())

    def _logits(self, x: Tensor) -> Tensor:
        """Map raw samples (N, *shape) to (N, classes)."""
        if self.classifier is None:
            logits: Tensor = self._model(x)
        elif self.moves_body and isinstance(self._model, NeckedModel):
            logits = self.classifier(self._model.embed(x))
        else:
            assert isinstance(self._model, FewShotModel)  # noqa: S101  # see __init__
            logits = self.classifier(self._model.features(x))
        return logits
