"""What a model's preprocessing has to know of the data."""

from __future__ import annotations

import numpy as np

from edgemeta.meta.runs.checkpoint import DataStatistics
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.fixed_labels import label_names
from edgemeta.tasks.source import input_of

STATISTICS_EPISODES = 100  # enough samples for a mean and a standard deviation


def data_statistics(source: TaskSource, size: EpisodeSize, scaled: bool = True) -> DataStatistics:
    """Measure what the model's preprocessing needs, on meta-training tasks alone.

    Images (uint8) are scaled to 0..1. Other classification data are standardised along the last
    axis. Regression inputs stay as they are, as in the papers.

    Args:
        source: of the tasks.
        size: of a task.
        scaled: whether the model is one of ours; others scale by themselves.
    """
    mean, std = (0.0,), (1.0,)
    if not scaled:
        pass
    elif source.input_dtype == np.uint8:
        std = (255.0,)
    elif source.kind == "classification":
        drawn = (source.episode("train", size, 0, k) for k in range(STATISTICS_EPISODES))
        x = np.concatenate([episode.support_x for episode in drawn]).astype(np.float64)
        rows = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x[:, None]
        mean = tuple(rows.mean(0).tolist())
        std = tuple(np.maximum(rows.std(0), 1e-6).tolist())
    return DataStatistics(
        kind=source.kind,
        input=input_of(source),
        target_shape=source.target_shape,
        mean=mean,
        std=std,
        labels=label_names(source),
    )
