"""Meta-training on the desk: inner loop, outer loop, models, checkpoints (torch)."""

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.models.networks import build_model

__all__ = ["InnerLoop", "State", "build_model"]
