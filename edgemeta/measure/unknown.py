"""How well what is adapted tells samples of classes that it never saw from those that it knows.

A device is shown a few classes and then meets everything else. So an episode has further classes,
whose queries are unknown, and each query gets a score: its familiarity, by which
`FewShotClassifier` rejects. One threshold serves all episodes, as on a device. The figures are
those of keyword spotting: the area under the ROC curve, and the accuracy where a given share of the
unknown queries passes for known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.familiarity import familiarity, mean_lead
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Adapter, check_fit, mean_and_ci95
from edgemeta.tasks import Episode, EpisodeSize, Split, TaskSource

FALSE_ALARMS = (0.01, 0.05)
"""The shares of unknown queries that may pass for known."""


class Comparing(Adapter, Protocol):
    """What can be evaluated on unknown classes, too."""

    def adapt_and_compare(
        self, episode: Episode, steps: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Adapt to the support set as a classifier that can reject does.

        Returns:
            (Q, C) logits of the queries, and what to compare them with, (Q,).
        """


@dataclass(frozen=True)
class AtFalseAlarms:
    """What one threshold does.

    Attributes:
        false_alarms: the share of unknown queries that may be accepted, such as 0.01.
        threshold: what is less familiar is rejected.
        mean: the share of known queries that are accepted and right, over the episodes.
        ci95: half of the 95 % confidence interval of the mean.
    """

    false_alarms: float
    threshold: float
    mean: float
    ci95: float


@dataclass(frozen=True)
class UnknownEvaluation:
    """What an evaluation with unknown classes found.

    Attributes:
        classes: unknown ones in each episode.
        area: under the ROC curve: how often a known query is more familiar than an unknown one.
        at: for each of `FALSE_ALARMS`.
    """

    classes: int
    area: float
    at: tuple[AtFalseAlarms, ...]

    def record(self) -> dict[str, Any]:
        """Return plain values, as JSON has them."""
        return asdict(self)


def evaluate_unknown(
    adapter: Comparing,
    source: TaskSource,
    size: EpisodeSize,
    *,
    classes: int,
    episodes: int,
    seed: int,
    split: Split = "test",
    steps: int | None = None,
    tick: Callable[[], None] | None = None,
) -> UnknownEvaluation:
    """Adapt to the first `size.ways` classes of each of a stream of larger episodes.

    Args:
        adapter: what adapts.
        source: where the episodes come from.
        size: of what is learned; `size.queries` of each unknown class are asked, too.
        classes: unknown ones in each episode.
        episodes: how many, numbers 0, 1, ... of the stream of episodes with all these classes.
        seed: of the stream.
        split: the part.
        steps: inner steps; None for the adapter's own number.
        tick: called after each episode.

    Raises:
        InputError: the tasks are no classification, the source does not fit the adapter, or has too
            few classes.
    """
    _check(adapter, classes, episodes)
    check_fit(adapter, source, size)
    whole = replace(size, ways=size.ways + classes)
    found = []
    for index in range(episodes):
        episode = _drawn(source, split, size, whole, seed, index)
        found.append(_scores(adapter, episode, size.ways, steps))
        if tick is not None:
            tick()
    known, right, unknown = map(np.stack, zip(*found, strict=True))  # (E, K), (E, K), (E, U)
    at = tuple(at_false_alarms(known, right, unknown, share) for share in FALSE_ALARMS)
    return UnknownEvaluation(classes, roc_area(known, unknown), at)


def at_false_alarms(
    known: NDArray[np.float64],
    right: NDArray[np.bool_],
    unknown: NDArray[np.float64],
    share: float,
) -> AtFalseAlarms:
    """Return what the lowest threshold does that accepts at most a share of unknown queries.

    Args:
        known: (E, K) how familiar the known queries of each episode are.
        right: (E, K) whether their class is found.
        unknown: (E, U) how familiar the others are.
        share: of the E * U unknown ones.

    Example:
        >>> import numpy as np
        >>> known, unknown = np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[0.5, 0.1], [0.6, 0.3]])
        >>> right = np.array([[True, True], [False, True]])
        >>> found = at_false_alarms(known, right, unknown, 0.25)
        >>> found.threshold > 0.5, found.mean  # 0.6 passes; 0.4 is rejected, and 0.8 is wrong
        (True, 0.5)
    """
    worst_first = np.sort(unknown, axis=None)[::-1]
    passing = int(share * len(worst_first))
    # Just above the first that must not pass: of equal scores, none passes.
    threshold = float(np.nextafter(worst_first[passing], np.inf)) if share < 1 else -np.inf
    accepted = ((known >= threshold) & right).mean(1)
    return AtFalseAlarms(share, threshold, **mean_and_ci95(accepted.tolist())._asdict())


def roc_area(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> float:
    """Return how often a known score is above an unknown one; equal ones count half.

    Args:
        known: of any shape.
        unknown: of any shape.

    Example:
        >>> import numpy as np
        >>> roc_area(np.array([0.9, 0.5]), np.array([0.5, 0.1]))
        0.875
    """
    ordered = np.sort(unknown, axis=None)
    below, upto = (np.searchsorted(ordered, known, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(ordered))


def _scores(
    adapter: Comparing, episode: Episode, ways: int, steps: int | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return how familiar known queries (K,) are, whether they are right, and the unknown (U,)."""
    learned, known = episode.support_y < ways, episode.query_y < ways
    x, y = episode.support_x[learned], episode.support_y[learned]
    asked = np.concatenate([x, episode.query_x])  # the support samples say how familiar is usual
    no_labels = np.zeros(len(asked), np.int64)
    logits, reference = adapter.adapt_and_compare(Episode(x, y, asked, no_labels), steps)
    own = mean_lead(logits[: len(y)], reference[: len(y)], y)
    logits, reference = logits[len(y) :], reference[len(y) :]
    # What is no number, after a divergence, is rejected.
    score = np.nan_to_num(familiarity(logits, reference, own), nan=-np.inf)
    right = logits[known].argmax(1) == episode.query_y[known]
    return score[known], right, score[~known]


def _check(adapter: Adapter, classes: int, episodes: int) -> None:
    if adapter.task != "classification":
        raise InputError("unknown classes need classification", got=adapter.task)
    if adapter.labels:
        raise InputError(
            "no class is unknown where labels keep their meaning",
            got=f"a model of {', '.join(adapter.labels)}",
            expected="one that was trained with --labels shuffled",
        )
    if classes < 1:
        raise InputError("too few unknown classes", got=classes, expected="at least 1")
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")


def _drawn(
    source: TaskSource, split: Split, size: EpisodeSize, whole: EpisodeSize, seed: int, index: int
) -> Episode:
    try:
        return source.episode(split, whole, seed, index)
    except InputError as error:
        need = size.shots + size.queries
        raise InputError(
            error.what,
            got=error.got,
            expected=f"{size.ways} ways and {whole.ways - size.ways} unknown classes with {need} "
            "samples each",
            hint="reduce the ways, the unknown classes, shots or queries, or add data",
        ) from error
