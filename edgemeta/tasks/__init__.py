"""Task sources and the episode sampler: where few-shot problems come from (numpy only)."""

from edgemeta.data.options import DataOptions
from edgemeta.tasks._given import from_arrays, from_torch
from edgemeta.tasks.opening import open_tasks
from edgemeta.tasks.source import Episode, EpisodeSize, Split, TaskSource

__all__ = [
    "DataOptions",
    "Episode",
    "EpisodeSize",
    "Split",
    "TaskSource",
    "from_arrays",
    "from_torch",
    "open_tasks",
]
