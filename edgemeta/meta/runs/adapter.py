"""A trained run as something to evaluate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta.bundle import MAX_WAYS, TensorSpec
from edgemeta.device.familiarity import with_reference
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Estimate, check_fit, mean_and_ci95, score
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.objective import Tasks, stack_episodes
from edgemeta.meta.inner.updates import Rates
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.runs.building import head_ways, trained_names
from edgemeta.meta.runs.checkpoint import DataStatistics
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import CPU
from edgemeta.meta.runs.frozen import behind_frozen
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import Episode, EpisodeSize, Split, TaskSource
from edgemeta.tasks.source import input_of

Outputs = dict[int, NDArray[np.float32]]
"""What is predicted after so many inner steps: (Q, ways) or (Q, *target_shape)."""


class TorchAdapter:
    """Adapts and predicts with PyTorch, for validation and for comparison with a bundle.

    Attributes:
        task: "classification" or "regression".
        ways: classes of the head, or of the training with a shared head; None for regression.
        most_ways: the most classes that a task can have; None for regression.
        input: one raw sample.
        inner_steps: steps taken unless told otherwise.
        inner_lr: the inner rates.
        labels: what the labels 0, 1, ... are called, where they keep their meaning; () elsewhere.

    Args:
        trained: names of the parameters that meta-training moved, beside those that adapt; None
            for a run whose features are not to be kept.
    """

    def __init__(
        self,
        loop: InnerLoop,
        *,
        input: TensorSpec,
        ways: int | None,
        inner_steps: int,
        inner_lr: Rates,
        trained: Collection[str] | None = None,
        labels: tuple[str, ...] = (),
    ) -> None:
        self.labels = labels
        self.task = "regression" if ways is None else "classification"
        self.ways, self.input = ways, input
        self.most_ways = MAX_WAYS if loop.per_class else ways
        self.inner_steps, self.inner_lr = inner_steps, inner_lr
        self._loop, self._trained = loop, trained

    @classmethod
    def of(
        cls,
        loop: InnerLoop,
        config: TrainConfig,
        statistics: DataStatistics,
        rates: Rates,
        trained: Collection[str] | None = None,
    ) -> TorchAdapter:
        """Adapt as a run does."""
        return cls(
            loop,
            input=statistics.input,
            ways=head_ways(config, statistics),
            inner_steps=config.inner_steps,
            inner_lr=rates,
            trained=trained,
            labels=statistics.labels,
        )

    def on_features(
        self, source: TaskSource, size: EpisodeSize, episodes: int
    ) -> tuple[TorchAdapter, TaskSource]:
        """Return what predicts the same of features that are computed once per sample.

        Args:
            source: of raw samples.
            size: of an episode.
            episodes: how many will be looked at.

        Returns:
            What adapts, and a source of features; both as they are where nothing is frozen in
            front, or where that would not pay.

        Raises:
            InputError: the source does not fit.
        """
        check_fit(self, source, size)
        if self._trained is None:
            return self, source
        loop, source = behind_frozen(
            self._loop,
            self._trained,
            FeatureCache(source),
            self._device,
            looks=samples_of(size, episodes),
        )
        if loop is self._loop:
            return self, source
        made = copy.copy(self)
        made._loop, made.input = loop, input_of(source)
        return made, source

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Adapt the init to the support set, predict the queries.

        Returns:
            (Q, ways) logits or (Q, *target_shape) outputs.
        """
        steps = self.inner_steps if steps is None else steps
        return self.predict_after(episode, (steps,))[steps]

    def predict_after(self, episode: Episode, steps: Collection[int]) -> Outputs:
        """Adapt the init to the support set once, and predict the queries on the way.

        Args:
            episode: the task.
            steps: after how many inner steps to predict; 0 is the init itself.

        Returns:
            By the number of steps: (Q, ways) logits or (Q, *target_shape) outputs.
        """
        task = stack_episodes([episode]).to(self._device).select(0)
        return {step: output.cpu().numpy() for step, output in self._after(task, steps)}

    def adapt_and_compare(
        self, episode: Episode, steps: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Adapt as a classifier that can reject does; see `measure.unknown.Comparing`."""
        steps = self.inner_steps if steps is None else steps
        classes, spare = int(episode.support_y.max()) + 1, bool(self._loop.per_class)
        task = stack_episodes([episode]).to(self._device).select(0)
        ((_, output),) = self._after(task, (steps,), classes + 1 if spare else self.ways)
        return with_reference(output.cpu().numpy(), classes, spare)

    def words(self, tasks: Tasks) -> Tensor:
        """Return what a teacher says of the queries of T tasks: (T, Q, ways) or (T, Q, ...)."""
        each = (tasks.select(k) for k in range(len(tasks.support_x)))
        return torch.stack([o for task in each for _, o in self._after(task, (self.inner_steps,))])

    @property
    def _device(self) -> torch.device:
        return next(self._loop.model.parameters()).device

    def _after(
        self, task: Tasks, steps: Collection[int], ways: int | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield numbers of inner steps, and what is predicted after so many.

        Args:
            task: what to adapt to.
            steps: the numbers.
            ways: classes to adapt, of which the last may lack samples; None for those of the task.
        """
        init, x, y = self._loop.init(), task.support_x, task.support_y
        if ways is not None:
            init = self._loop.grow(init, ways)._replace(ways=torch.tensor(ways, device=x.device))
        elif self.ways is not None and not self.labels:  # fixed ones are all there, shown or not
            init = init._replace(ways=y.max() + 1)
        states = self._loop.trajectory(init, x, y, steps=max(steps), lr=self.inner_lr)
        for step, state in enumerate(states):
            if step in steps:
                ready = self._loop.settled(state, x, y) if step else state
                with torch.no_grad():
                    output = self._loop.predict(ready, task.query_x)
                yield step, output if state.ways is None else output[:, : int(state.ways)]


def samples_of(size: EpisodeSize, episodes: int) -> int:
    """Return how many samples so many episodes show."""
    return episodes * size.ways * (size.shots + size.queries)


def run_adapter(
    path: Path | Run, threads: int | None = None, device: torch.device = CPU
) -> TorchAdapter:
    """Return the best checkpoint of the run at `path`, ready to be evaluated.

    Args:
        path: the run's directory, or a run that holds its model.
        threads: of torch, for the whole process; None for those of the run.
        device: where to compute.

    Raises:
        InputError: there is no run, or it has no checkpoint yet.
    """
    trained = (path if isinstance(path, Run) else Run(path)).best()
    torch.set_num_threads(threads or trained.config.cores)
    rates = trained.rates
    if isinstance(rates, Mapping):
        rates = {name: rate.to(device) for name, rate in rates.items()}
    trained.model.to(device)
    config = trained.config
    moved = None if config.cache == "off" else trained_names(trained.model, config.trained)
    return TorchAdapter.of(trained.loop(), config, trained.statistics, rates, moved)


def evaluate_steps(
    adapter: TorchAdapter,
    source: TaskSource,
    size: EpisodeSize,
    *,
    steps: Collection[int],
    episodes: int,
    seed: int,
    split: Split = "test",
    tick: Callable[[], None] | None = None,
    see: Callable[[int, Episode, Outputs], None] | None = None,
) -> dict[int, Estimate]:
    """Measure as `measure.evaluate` does, after several numbers of inner steps at once.

    Args:
        adapter: what adapts.
        source: where the episodes come from.
        size: of an episode.
        steps: after how many inner steps to predict.
        episodes: how many.
        seed: of their stream.
        split: the part.
        tick: called after each episode.
        see: called with the number, the episode and what was predicted.

    Returns:
        The accuracy, or the MSE, by the number of steps; not finite where adapting diverges.

    Raises:
        InputError: as `evaluate`.
    """
    check_fit(adapter, source, size)
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")
    scores: dict[int, list[float]] = {step: [] for step in sorted(steps)}
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(episodes):
            episode = source.episode(split, size, seed, index)
            outputs = adapter.predict_after(episode, steps)
            for step, output in outputs.items():
                scores[step].append(score(adapter.task, output, episode.query_y))
            if see is not None:
                see(index, episode, outputs)
            if tick is not None:
                tick()
        return {step: mean_and_ci95(found) for step, found in scores.items()}
