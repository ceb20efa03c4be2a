"""Training runs: what one was told, what it keeps, and what it becomes as a model again."""

from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run

__all__ = ["Run", "TrainConfig"]
