"""A run beside what one would do without meta-learning, on the same episodes."""

from edgemeta.meta.compare.baselines import compare

__all__ = ["compare"]
