"""What adapts, how often, at which rate, behind which neck: measured on validation tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edgemeta.measure.evaluate import Estimate
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.neck import Neck
from edgemeta.meta.outer.work import fit_neck
from edgemeta.meta.recipe._budget import flops_of
from edgemeta.meta.recipe.choosing import Scored
from edgemeta.meta.runs.adapter import Outputs, TorchAdapter, evaluate_steps
from edgemeta.meta.runs.algorithms import HEAD
from edgemeta.meta.runs.building import make_model, start_from
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import CPU
from edgemeta.meta.runs.run import Run, make_loop
from edgemeta.tasks import Episode, EpisodeSize
from edgemeta.tasks.classes import ClassSource

ALL = ("*",)
NOTHING, HEAD_ALONE, LAST_BLOCK, EVERYTHING = "nothing", "head", "last block", "all weights"
IMAGE_LAST_BLOCK = ("head.*", "body.network._conv_head.*", "body.network._bn1.*")


@dataclass(frozen=True)
class Way:
    """A way to adapt, at one rate after several numbers of steps.

    Attributes:
        adapts: in words.
        adapt: patterns over parameter names.
        neck: in front of the head.
        lr: the inner rate.
        steps: that are compared.
    """

    adapts: str
    adapt: tuple[str, ...]
    neck: Neck
    lr: float
    steps: tuple[int, ...]

    def choices(self, steps: int) -> dict[str, Any]:
        """Return the fields of a config that adapts so, in so many steps."""
        return {"adapt": self.adapt, "neck": self.neck, "inner_lr": self.lr, "inner_steps": steps}

    def told(self, config: TrainConfig) -> TrainConfig:
        """Return a config that adapts so, in the most steps."""
        return replace(config, **self.choices(max(self.steps)))

    def made(self, choices: Mapping[str, Any]) -> bool:
        """Whether choices are of this way, in one of its numbers of steps."""
        return any(self.choices(steps) == choices for steps in self.steps)


def ways_of(config: TrainConfig) -> Iterator[Way]:
    """Yield the ways to adapt an init that are worth a comparison, the cheapest first."""
    if config.labels == "fixed":
        yield Way(NOTHING, HEAD, "none", 0.1, (0,))
        for lr in (0.01, 0.1, 0.4):
            yield Way(HEAD_ALONE, HEAD, "none", lr, (1, 5, 10))
        for lr in (0.001, 0.01, 0.05):
            yield Way(EVERYTHING, ALL, "none", lr, (1, 5))
        return
    necks: tuple[Neck, ...] = (config.neck,) if config.body else ("cosine", "none")
    for neck in necks:
        if neck != "none":
            yield Way(HEAD_ALONE, HEAD, neck, 1.0, (1,))
        for lr in (0.1, 0.3) if neck != "none" else (0.01, 0.1, 0.4):
            yield Way(HEAD_ALONE, HEAD, neck, lr, (5, 20))
    if config.body == "image":
        for lr in (0.01, 0.05):
            yield Way(LAST_BLOCK, IMAGE_LAST_BLOCK, config.neck, lr, (5,))
    elif not config.body:
        for lr in (0.003, 0.03):
            yield Way(EVERYTHING, ALL, "cosine", lr, (1, 5))


def cheapest_ways(config: TrainConfig) -> list[Way]:
    """Return the way by which inits are compared: the first, which costs nearly nothing."""
    return [next(ways_of(config))]


def measure_way(
    name: str,
    way: Way,
    run: Run,
    source: ClassSource,
    shots: Sequence[int],
    episodes: int,
    ways: int,
    tick: Callable[[], None],
) -> list[Scored]:
    """Measure a way to adapt the best checkpoint of a run on validation tasks, the same for all.

    Args:
        name: of the candidate.
        way: to adapt.
        run: of the candidate.
        source: of its tasks.
        shots: numbers of support samples per class; each counts alike.
        episodes: for each of them.
        ways: classes of a task, whatever the candidate was trained with.
        tick: called after each episode.

    Returns:
        One for each number of steps of the way.
    """
    config = replace(run.config(), ways=ways)
    adapter, model = adapting(run, way.told(config), FeatureCache(source))
    forward = flops_of(model, adapter.input)
    largest = EpisodeSize(config.ways, max(shots), config.evaluation_queries)
    here, shown = adapter.on_features(source, largest, episodes * len(shots))
    found: dict[int, dict[int, Estimate]] = {}
    right = {steps: _Right(source) for steps in way.steps}
    for count in shots:
        size = replace(largest, shots=count)

        def see(index: int, episode: Episode, outputs: Outputs, size: EpisodeSize = size) -> None:
            for steps, output in outputs.items():
                right[steps].add(size, index, output.argmax(1) == episode.query_y)

        found[count] = evaluate_steps(
            here,
            shown,
            size,
            steps=way.steps,
            episodes=episodes,
            seed=0,
            split="val",
            tick=tick,
            see=see,
        )
    return [
        Scored(
            name,
            way.adapts,
            way.choices(steps),
            {count: found[count][steps] for count in shots},
            _flops(forward, config.ways, way, steps),
            right[steps].means(),
        )
        for steps in way.steps
    ]


class _Right:
    """How often the queries of each class or person were right, by the number of shots.

    Args:
        source: of the episodes.
    """

    def __init__(self, source: ClassSource) -> None:
        self._source = source
        self._found: dict[int, dict[int, list[float]]] = {}

    def add(self, size: EpisodeSize, index: int, right: NDArray[np.bool_]) -> None:
        """Take in an episode.

        Args:
            size: of it.
            index: its number in the stream of seed 0.
            right: (Q,) of its queries, class by class.
        """
        units = self._source.episode_units("val", size, 0, index)
        for unit, share in zip(units.tolist(), right.reshape(size.ways, -1).mean(1), strict=True):
            self._found.setdefault(unit, {}).setdefault(size.shots, []).append(float(share))

    def means(self) -> dict[int, float]:
        """Return a mean for each unit, in which all its numbers of shots count alike."""
        return {
            unit: float(np.mean([np.mean(shares) for shares in by_shots.values()]))
            for unit, by_shots in self._found.items()
        }


def adapting(run: Run, config: TrainConfig, cache: FeatureCache) -> tuple[TorchAdapter, nn.Module]:
    """Return the best weights of a run as something that adapts as another config says.

    Args:
        run: of the candidate.
        config: its own, but for what adapts, how and behind which neck.
        cache: of the source: a neck that the run has not is fitted to its training part.
    """
    _, statistics, _, _ = run.best()
    model = make_model(config, statistics, run.model)
    fresh = start_from(model, run.path, statistics.labels)
    if any(name.startswith("neck.") for name in fresh):
        size = EpisodeSize(config.ways, config.shots, config.queries)
        fit_neck(model, cache, size, CPU)
    loop = make_loop(config, statistics, model)
    # Nothing but what adapts moves any more, so all in front of it is computed once.
    return TorchAdapter.of(loop, config, statistics, config.inner_lr, trained=()), model


def _flops(forward: int, ways: int, way: Way, steps: int) -> int:
    """Return the operations of an adaptation to one sample of each class, and of one prediction.

    Args:
        forward: of one sample.
        ways: classes of a task.
        way: that adapts. A gradient costs about twice a forward; what is frozen runs once.
        steps: inner steps.
    """
    if not steps:
        return forward
    rounds = 1 if way.adapts in (HEAD_ALONE, LAST_BLOCK) else 3 * steps
    return forward * (1 + ways * rounds)
