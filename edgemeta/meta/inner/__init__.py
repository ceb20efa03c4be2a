"""The inner loop: how a model learns a task. Training goes through it, and export traces it."""

from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.low_rank import LOW_RANK, add_low_rank
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.inner.updates import Rates, Update

__all__ = ["LOW_RANK", "InnerLoop", "Rates", "SharedHead", "State", "Update", "add_low_rank"]
