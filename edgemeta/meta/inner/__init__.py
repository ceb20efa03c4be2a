"""The inner loop: how a model learns a task. Training goes through it, and export traces it."""

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.inner.updates import Rates, Update

__all__ = ["InnerLoop", "Rates", "SharedHead", "State", "Update"]
