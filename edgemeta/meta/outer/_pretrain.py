"""Supervised pre-training, the baseline of meta-learning: all training classes at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.augment.augmentation import AUGMENT_STREAM, Augmentation
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.norms import batch_norms
from edgemeta.meta.models.parts import FewShotModel, NeckedModel
from edgemeta.meta.outer._placement import Placement
from edgemeta.meta.outer.work import Work
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource
from edgemeta.tasks.classes import ClassSource

BATCH_STREAM = 3  # of the seed of a batch, beside those of the three parts' episodes


class Pretraining:
    """Classifies all training classes with a head of its own, on the features of a model.

    The model's own head stays at its start: it is what adapts to a task afterwards. Source: the
    "Baseline" of Chen et al. 2019, "A Closer Look at Few-shot Classification", section 3.2.

    With fixed labels there is no other head: the model's own learns what its rows mean, and the
    model predicts before it adapts.

    With a teacher, a projection of the features also learns where a frozen body places the samples.
    Like the classifier it is left behind. Source: Romero et al. 2015, "FitNets: Hints for Thin Deep
    Nets", section 2.2; with the cosine for the distance, see `Placement`.

    Args:
        loop: holds the model.
        source: where samples come from.
        batch: samples per step.
        seed: of the batches.
        trained: names of the model's parameters that move; None for all.
        running: whether batch norms normalise by the batch, and keep a running average.
        augmentation: of the samples; None shows them as they are.
        placement: of the samples by a teacher; None without one.
        distill: the teacher's share of the loss.

    Attributes:
        classifier: (D) -> one logit for each training class; None with fixed labels.
        projection: (D) -> the features of a teacher; None without one.
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
        placement: Placement | None = None,
        distill: float = 0.0,
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
        self._placement, self._distill = placement, distill
        # So that `distill` is the same share everywhere, both losses begin alike: by chance, this
        # one is the logarithm of the number of classes, and that of the placement 1 times it.
        self._scale = math.log(max(2, len(source.fixed or source.classes("train"))))
        moved = dict(loop.model.named_parameters()) if trained is None else trained
        # The neck is fitted to what the body makes, and a body that moves would move under it. In
        # front of a frozen body's classifier the neck is all there is to train.
        self.moves_body = any(not name.startswith(("neck.", "head.")) for name in moved)
        self._batch_norms = batch_norms(loop.model) if running else []
        self._device = next(loop.model.parameters()).device
        self.classifier: nn.Linear | None = None
        self.projection: nn.Linear | None = None
        if source.fixed and placement is None:
            return
        if not isinstance(loop.model, FewShotModel):
            wants = "--objective classes" if placement is None else "a body as teacher"
            raise InputError(
                f"{wants} needs a model of features and a head",
                got=type(loop.model).__name__,
                expected="an edgemeta.meta.parts.FewShotModel",
            )
        features = loop.model.head.in_features
        if not source.fixed:
            classes = len(source.classes("train"))
            self.classifier = nn.Linear(features, classes, device=self._device)
        if placement is not None:
            self.projection = nn.Linear(features, placement.width, device=self._device)

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        work: Work,
        raw: TaskSource,
        augmentation: Augmentation | None,
        device: torch.device,
    ) -> Pretraining:
        """Make what a config asks for.

        Args:
            config: of the training.
            work: what it works on.
            raw: the source as it was opened, without more classes.
            augmentation: of its samples.
            device: where to compute.

        Raises:
            InputError: the tasks are no classification, or have no place that a teacher can read.
        """
        return cls(
            work.loop,
            work.source,
            config.meta_batch * config.ways * (config.shots + config.queries),
            config.seed,
            work.trained,
            running=config.pretrains_norms,
            augmentation=augmentation,
            placement=Placement.of_teacher(config, raw, device) if config.teacher else None,
            distill=config.distill,
        )

    @property
    def leaves(self) -> list[Tensor]:
        """What the outer optimizer moves; beside a classifier the own head's gradient is zero."""
        own = dict(self._model.named_parameters())
        names = own if self._trained is None else self._trained
        beside = (module for module in (self.classifier, self.projection) if module is not None)
        others = [parameter for module in beside for parameter in module.parameters()]
        return [*(own[name] for name in names), *others]

    def accumulate(self, iteration: int) -> float:
        """Add the gradient of batch number `iteration` to `.grad` of the leaves.

        Returns:
            The mean loss.
        """
        rng = np.random.default_rng([self._seed, BATCH_STREAM, iteration])
        x, y, rows = self._source.labelled_with_ids("train", self._batch, rng)
        samples, labels = (
            torch.from_numpy(np.ascontiguousarray(a)).to(self._device) for a in (x, y)
        )
        if self._augmentation is not None:
            samples = self._augmentation(samples, (self._seed, AUGMENT_STREAM, iteration))
        for norm in self._batch_norms:
            norm.train()
        with self._loop.collecting_statistics():
            logits, embedded = self._outputs(samples)
        for norm in self._batch_norms:
            norm.eval()
        loss = nn.functional.cross_entropy(logits, labels)
        if self._placement is not None:
            assert self.projection is not None  # noqa: S101  # see __init__
            placed = self._placement.loss(self.projection(embedded), rows)
            loss = (1 - self._distill) * loss + self._distill * self._scale * placed
        loss.backward()  # type: ignore[no-untyped-call]
        for name in self._loop.statistics:  # the next batch must not hold on to this one's graph
            self._model.get_buffer(name).detach_()
        return float(loss.detach())

    def _outputs(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map raw samples (N, *shape) to logits (N, classes), and to what a teacher judges (N, D).

        That is what the neck takes, or what comes out of it where the neck is what is trained; None
        where nobody asks for it.
        """
        model = self._model
        if self.classifier is None and self._placement is None:
            logits: Tensor = model(x)
            return logits, None
        assert isinstance(model, FewShotModel)  # noqa: S101  # see __init__
        if self.moves_body and isinstance(model, NeckedModel):
            embedded = model.embed(x)
            if self.classifier is None:
                return model.read(model.neck(embedded)), embedded
        else:
            embedded = model.features(x)
        read = model.read if self.classifier is None else self.classifier
        return read(embedded), embedded
