"""What a model still knows of classes that a new person did not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Adapter, Estimate, check_fit, mean_and_ci95
from edgemeta.tasks import Episode, EpisodeSize, Split
from edgemeta.tasks.classes import ClassSource

PARTIAL_STREAM = 5  # of the seed: which classes are shown


@dataclass(frozen=True)
class PartialEvaluation:
    """Accuracy over queries of classes that the support set shows, and over those of the others.

    Attributes:
        shown_before: of the classes in the support set, before adapting to it.
        shown_after: likewise, after adapting.
        others_before: of the classes that are not in the support set, before adapting.
        others_after: likewise, after adapting: less than before is what was forgotten.
    """

    shown_before: Estimate
    shown_after: Estimate
    others_before: Estimate
    others_after: Estimate


def evaluate_partial(
    adapter: Adapter,
    source: ClassSource,
    size: EpisodeSize,
    *,
    shown: int,
    episodes: int,
    seed: int,
    split: Split = "test",
    steps: int | None = None,
    tick: Callable[[], None] | None = None,
) -> PartialEvaluation:
    """Adapt to support sets that lack some classes, and measure the shown and the other classes.

    Args:
        adapter: what adapts; its labels must keep their meaning.
        source: where the episodes come from, with the same labels.
        size: of a whole episode.
        shown: how many of its classes the support set shows, drawn for each episode.
        episodes: how many, at least 2.
        seed: of their stream.
        split: the part.
        steps: inner steps; None for the adapter's own number.
        tick: called after each episode.

    Raises:
        InputError: labels are shuffled, nothing would be left out, or as `evaluate`.
    """
    check_fit(adapter, source, size)
    if not adapter.labels:
        raise InputError(
            "a class that is not shown has no meaning",
            got="shuffled labels",
            expected="a model trained with --labels fixed",
        )
    if not 1 <= shown < size.ways:
        raise InputError("no such share of classes", got=shown, expected=f"1 to {size.ways - 1}")
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")
    found: list[tuple[float, float, float, float]] = []
    for index in range(episodes):
        whole = source.episode(split, size, seed, index)
        rng = np.random.default_rng([seed, PARTIAL_STREAM, index])
        classes = rng.permutation(size.ways)[:shown]
        episode = showing(whole, classes)
        here = np.isin(whole.query_y, classes)
        before, after = (
            adapter.adapt_and_predict(episode, count).argmax(1) == whole.query_y
            for count in (0, steps)
        )
        parts = before[here], after[here], before[~here], after[~here]
        found.append(tuple(float(part.mean()) for part in parts))  # type: ignore[arg-type]
        if tick is not None:
            tick()
    return PartialEvaluation(*(mean_and_ci95(scores) for scores in zip(*found, strict=True)))


def showing(episode: Episode, classes: NDArray[np.int64]) -> Episode:
    """Return an episode whose support set shows these classes alone; queries stay."""
    kept = np.isin(episode.support_y, classes)
    return episode._replace(support_x=episode.support_x[kept], support_y=episode.support_y[kept])
