"""What every task source offers: seeded episodes from three parts that share no class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
TaskKind = Literal["classification", "regression"]

# Part of every episode's seed, so that the same number never means the same episode in two parts.
_SPLIT_SEED = {"train": 0, "val": 1, "test": 2}


class Episode(NamedTuple):
    """One sampled task.

    Attributes:
        support_x: (S, *input_shape), in the dtype of the user's data as loaded.
        support_y: (S,) int64 labels 0..ways-1, or (S, *target_shape) float32 for regression.
        query_x: (Q, *input_shape).
        query_y: like support_y, for the queries.
    """

    support_x: NDArray[Any]
    support_y: NDArray[Any]
    query_x: NDArray[Any]
    query_y: NDArray[Any]


@dataclass(frozen=True)
class EpisodeSize:
    """How large an episode is.

    Attributes:
        ways: classes in the task; ignored for regression.
        shots: support samples per class; for regression, support samples in all.
        queries: query samples per class; for regression, query samples in all.
    """

    ways: int = 5
    shots: int = 1
    queries: int = 15

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "queries"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"{name} is too small", got=getattr(self, name), expected="at least 1"
                )


class TaskSource(ABC):
    """A family of tasks with disjoint meta-train, validation and test parts.

    Attributes:
        name: how the command line spells it.
        kind: "classification" or "regression".
        input_shape: shape of one sample.
        input_dtype: dtype of the samples as loaded.
        target_shape: shape of one target; () for classification.
    """

    name: str
    kind: TaskKind
    input_shape: tuple[int, ...]
    input_dtype: np.dtype[Any]
    target_shape: tuple[int, ...] = ()

    @abstractmethod
    def sample(self, split: Split, size: EpisodeSize, rng: np.random.Generator) -> Episode:
        """Draw one episode of `split` with the randomness of `rng` and nothing else.

        Raises:
            InputError: the part has too few classes or samples for `size`.
        """

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What was done to the raw data, as JSON would hold it; a device has to do the same."""
        return {}

    def episode(self, split: Split, size: EpisodeSize, seed: int, index: int) -> Episode:
        """Return episode number `index` of the stream `seed`: a pure function of its arguments.

        That an episode does not depend on those before it is what lets training resume, and two
        runtimes evaluate the same episodes.
        """
        return self.sample(split, size, episode_rng(split, seed, index))

    def episodes(
        self, split: Split, size: EpisodeSize, seed: int, start: int = 0
    ) -> Iterator[Episode]:
        """Yield the episodes `start`, `start + 1`, ... of the stream `seed`, without end."""
        index = start
        while True:
            yield self.episode(split, size, seed, index)
            index += 1


def episode_rng(split: Split, seed: int, index: int) -> np.random.Generator:
    """Return the randomness of episode number `index` of the stream `seed` of a part."""
    return np.random.default_rng([seed, _SPLIT_SEED[split], index])


def input_of(source: TaskSource) -> TensorSpec:
    """Return what one sample of a source looks like."""
    return TensorSpec(tuple(source.input_shape), source.input_dtype.name)
