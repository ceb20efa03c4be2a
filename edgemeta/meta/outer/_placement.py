"""Distillation from a frozen body: a model learns to place samples as the body does."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgemeta.errors import InputError
from edgemeta.meta.models.bodies import make_body
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.reading import as_teacher_reads
from edgemeta.tasks import TaskSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import input_of


class Placement:
    """Where a body, the teacher, places the samples of the training part, and how far a model is.

    What counts is which samples lie near each other, not where: two networks need not agree on
    axes, nor on how many there are. Source: Park et al. 2019, "Relational Knowledge Distillation",
    section 3.2; with the cosines of centred features in place of distances, because the nearest
    class mean, which the features are for, compares these (see `CenteredCosine`).

    Args:
        rows: (n,) int64 the rows of the training part, ascending.
        features: (n, D) float32 what the teacher makes of them.
    """

    def __init__(self, rows: NDArray[np.int64], features: Tensor) -> None:
        self._rows = rows
        self._places = functional.normalize(features - features.mean(0), dim=1)

    @classmethod
    def of_teacher(cls, config: TrainConfig, source: TaskSource, device: torch.device) -> Placement:
        """Return what the teacher of a training says of its samples.

        Args:
            config: its `teacher` is the name of a body.
            source: of the student's raw samples.
            device: where to compute.

        Raises:
            InputError: there is no such body, it cannot read the samples, or these change at random
                or are more than the disk has room for.
        """
        read = as_teacher_reads(config, source)
        body = make_body(config.teacher, input_of(read)).to(device)
        found = FeatureCache(read).behind(body, device)
        if not isinstance(found, DatasetSource):
            raise InputError(
                f"{source.name}: the features of the teacher {config.teacher} cannot be kept",
                got="samples that change when they are read, or too little room on the disk",
                hint="set EDGEMETA_CACHE to a folder with more room, or train without --teacher",
            )
        rows = found.rows["train"]
        return cls(rows, torch.from_numpy(found.dataset.samples.read(rows)).to(device))

    def loss(self, embedded: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Return how far a model is from the teacher, (): 0 where all pairs lie as its do.

        The cosines of all pairs in the batch are compared, their squared differences divided by the
        squares of the teacher's. So it is about 1 for a model to which no two samples are alike,
        whatever the teacher, and its share of a loss means the same everywhere.

        Args:
            embedded: (B, E) float32 what the model makes of a batch.
            rows: (B,) int64 which samples these are; the teacher knows nothing of other rows than
                those of the training part (such as samples that were changed into another class),
                and they do not count.
        """
        places = np.searchsorted(self._rows, rows).clip(max=len(self._rows) - 1)
        known = np.flatnonzero(self._rows[places] == rows)
        if len(known) < 2:
            return embedded.sum() * 0
        at, where = (torch.from_numpy(ids).to(embedded.device) for ids in (known, places[known]))
        own, theirs = embedded[at], self._places[where]
        own = functional.normalize(own - own.mean(0), dim=1)
        wanted = theirs @ theirs.T
        wrong = (own @ own.T - wanted).square().sum()
        pairs: Tensor = wanted.square().sum() - wanted.diagonal().square().sum()
        return wrong / pairs.clamp_min(torch.finfo(pairs.dtype).tiny)
