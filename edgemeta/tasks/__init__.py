"""Task sources and the episode sampler: where few-shot problems come from (numpy only)."""

from edgemeta.tasks.opening import open_tasks
from edgemeta.tasks.source import Episode, EpisodeSize, Split, TaskSource

__all__ = ["Episode", "EpisodeSize", "Split", "TaskSource", "open_tasks"]
