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
    """Where a body, the teacher, places the samples of the training part.

    Its features are centred and brought to length 1, as a cosine neck does it: the nearest class
    mean, which features are for, compares directions.

    Args:
        rows: (n,) int64 the rows of the training part, ascending.
        features: (n, D) float32 what the teacher makes of them.

    Attributes:
        width: D.
    """

    def __init__(self, rows: NDArray[np.int64], features: Tensor) -> None:
        self._rows, self.width = rows, features.shape[1]
        self._places = functional.normalize(features - features.mean(0), dim=1)

    @classmethod
    def of_teacher(cls, config: TrainConfig, source: TaskSource, device: torch.device) -> Placement:
        """Return what the teacher of a training says of its samples.

        Args:
            config: its `teacher` is the name of a body.
            source: of the student's raw samples, without more classes. No teacher has learned of
                words backwards: to follow it there costs more than it gives.
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

    def loss(self, projected: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Return one less the mean cosine, (): 1 by chance, 0 where both place samples alike.

        Args:
            projected: (B, D) float32 features of a model, brought to as many as the teacher has.
            rows: (B,) int64 which samples these are. Those that are not of the training part, such
                as samples changed into another class, do not count.
        """
        places = np.searchsorted(self._rows, rows).clip(max=len(self._rows) - 1)
        known = np.flatnonzero(self._rows[places] == rows)
        if not len(known):
            return 0 * projected.sum()
        at, where = (torch.from_numpy(k).to(projected.device) for k in (known, places[known]))
        return 1 - functional.cosine_similarity(projected[at], self._places[where]).mean()
