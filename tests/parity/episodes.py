"""Episodes that are chosen, not looked for, recorded like the one of a bundle."""

from __future__ import annotations

from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.updates import Rates
from edgemeta_export import recorded_episode
from edgemeta_export.replay import Episode, replayed


def record_episode(loop: InnerLoop, task: str, episode: Episode, lr: Rates) -> bytes | None:
    """Write down what PyTorch makes of one episode, as `record` does of the one that it chooses.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        episode: this one and no other.
        lr: inner learning rate, or rates.

    Returns:
        A file like `selftest.safetensors`; None where PyTorch, with a jittered init, differs from
        itself by more than a runtime may: there a runtime cannot be checked.
    """
    found = replayed(loop, loop.init(), episode, lr)
    if recorded_episode._jittered(loop, episode, lr, found, recorded_episode.JITTER, 1.0) > 1:
        return None
    return recorded_episode._content(task, episode, found)
