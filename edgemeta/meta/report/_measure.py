"""What the page shows of the test part, measured in one pass over its episodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgemeta.measure.evaluate import Estimate
from edgemeta.meta.runs.adapter import Outputs, TorchAdapter, evaluate_steps
from edgemeta.tasks import Episode, EpisodeSize, TaskSource
from edgemeta.tasks.classes import ClassSource

SHOWN_EPISODES = 3
LEAST_STEPS = 10  # shown, so that a run of one step shows whether more would help


@dataclass
class Measured:
    """What was measured.

    Attributes:
        by_step: accuracy or MSE by the number of inner steps.
        confused: (true, predicted) class id -> queries, of classification.
        together: (true, other) class id -> queries of `true` in tasks that had `other` as well.
        shown: the first episodes, and what was predicted.
    """

    by_step: dict[int, Estimate] = field(default_factory=dict)
    confused: Counter[tuple[int, int]] = field(default_factory=Counter)
    together: Counter[tuple[int, int]] = field(default_factory=Counter)
    shown: list[tuple[Episode, Outputs]] = field(default_factory=list)


def measure(
    adapter: TorchAdapter, source: TaskSource, size: EpisodeSize, *, episodes: int, seed: int
) -> Measured:
    """Adapt to episodes of the test part, with a progress bar on a terminal.

    Args:
        adapter: the run.
        source: its tasks.
        size: of an episode.
        episodes: how many, at least 2.
        seed: of their stream.
    """
    found = Measured()

    def see(index: int, episode: Episode, outputs: Outputs) -> None:
        if index < SHOWN_EPISODES:
            found.shown.append((episode, outputs))
        if isinstance(source, ClassSource):
            ids = source.episode_classes("test", size, seed, index)
            truth = ids[episode.query_y].tolist()
            predicted = ids[outputs[adapter.inner_steps].argmax(1)].tolist()
            found.confused.update(zip(truth, predicted, strict=True))
            found.together.update((t, other) for t in truth for other in ids.tolist())

    with tqdm(total=episodes, unit="episode", disable=None) as progress:
        found.by_step = evaluate_steps(
            adapter,
            source,
            size,
            steps=range(max(LEAST_STEPS, 2 * adapter.inner_steps) + 1),
            episodes=episodes,
            seed=seed,
            tick=progress.update,
            see=see,
        )
    return found


def hardest_pairs(found: Measured, most: int) -> list[tuple[int, int, int, int]]:
    """Return the classes that are most often taken for one another.

    Returns:
        One class, the other, how many queries of either were taken for the other, and of how many
        in tasks that had both; the most errors first.
    """
    errors: Counter[tuple[int, int]] = Counter()
    for (truth, predicted), count in found.confused.items():
        if truth != predicted:
            errors[min(truth, predicted), max(truth, predicted)] += count
    ranked = sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(a, b, count, found.together[a, b] + found.together[b, a]) for (a, b), count in ranked]


def confusion_counts(found: Measured) -> tuple[list[int], NDArray[np.int64]]:
    """Return the class ids (C), ascending, and the queries (C, C) by true and predicted class."""
    ids = sorted({truth for truth, _ in found.confused} | {p for _, p in found.confused})
    place = {class_id: k for k, class_id in enumerate(ids)}
    counts = np.zeros((len(ids), len(ids)), np.int64)
    for (truth, predicted), count in found.confused.items():
        counts[place[truth], place[predicted]] = count
    return ids, counts
