"""Meta-training on the desk: inner loop, outer loop, models, checkpoints (torch)."""

from edgemeta.meta.inner import InnerLoop, State
from edgemeta.meta.models import build_model

__all__ = ["InnerLoop", "State", "build_model"]
