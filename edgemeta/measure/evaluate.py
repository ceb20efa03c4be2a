"""Evaluation on sampled episodes, the same for every runtime."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import TensorSpec
from edgemeta.device.familiarity import with_reference
from edgemeta.errors import InputError
from edgemeta.tasks import Episode, EpisodeSize, Split, TaskSource
from edgemeta.tasks.fixed_labels import label_names
from edgemeta.tasks.source import input_of

if TYPE_CHECKING:
    from edgemeta.device.runner import Runner


class Adapter(Protocol):
    """What can be evaluated: a bundle on onnxruntime, or a trained run on PyTorch.

    Attributes:
        task: "classification" or "regression".
        ways: classes of the head, or of the training with a shared head; None for regression.
        most_ways: the most classes that a task can have; None for regression.
        input: one raw sample.
        labels: what the labels 0, 1, ... are called, where they keep their meaning; () elsewhere.
    """

    task: str
    ways: int | None
    most_ways: int | None
    input: TensorSpec
    labels: tuple[str, ...]

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Adapt the init to the support set, predict the queries without a look at their labels.

        Returns:
            (Q, ways) logits or (Q, *target_shape) outputs.
        """


class BundleAdapter:
    """A bundle on onnxruntime as something to evaluate; see `Adapter`."""

    def __init__(self, runner: Runner) -> None:
        self.task: str = runner.manifest.task
        self.ways, self.input = runner.manifest.ways, runner.manifest.input
        self.most_ways = runner.manifest.most_ways
        self.labels = runner.manifest.labels or ()
        self._runner = runner

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        """Adapt the init to the support set, predict the queries."""
        ways = self.ways if self.labels or self.ways is None else int(episode.support_y.max()) + 1
        # An episode that diverges is part of the result, as it is on PyTorch.
        learner = self._runner.adapt(
            episode.support_x, episode.support_y, steps=steps, ways=ways, guard=False
        )
        return learner.predict_logits(episode.query_x)

    def adapt_and_compare(
        self, episode: Episode, steps: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Adapt as a classifier that can reject does; see `measure.unknown.Comparing`."""
        classes, spare = int(episode.support_y.max()) + 1, self._runner.manifest.any_ways
        x, y = episode.support_x, episode.support_y
        ways = classes + 1 if spare else None
        learner = self._runner.adapt(x, y, steps=steps, ways=ways, guard=False)
        return with_reference(learner.predict_logits(episode.query_x), classes, spare)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        metric: "accuracy" (fraction of queries) or "mse" (mean over queries and targets).
        mean: over the episodes.
        ci95: half of the 95 % confidence interval of the mean, 1.96 standard errors.
        episodes: how many.
        scores: (episodes,) float64, the metric of each episode.
        predictions: (episodes, Q) int64 labels, or (episodes, Q, *target_shape) float32 outputs.
    """

    metric: Literal["accuracy", "mse"]
    mean: float
    ci95: float
    episodes: int
    scores: NDArray[np.float64]
    predictions: NDArray[Any]


def evaluate(
    adapter: Adapter,
    source: TaskSource,
    size: EpisodeSize,
    *,
    episodes: int,
    seed: int,
    split: Split = "test",
    steps: int | None = None,
    tick: Callable[[], None] | None = None,
) -> Evaluation:
    """Adapt to each of a stream of episodes and measure the predictions of its queries.

    Args:
        adapter: what adapts.
        source: where the episodes come from.
        size: of an episode.
        episodes: how many, numbers 0, 1, ... of the stream.
        seed: of the stream.
        split: the part.
        steps: inner steps; None for the adapter's own number.
        tick: called after each episode.

    Raises:
        InputError: the source does not fit the adapter, or is too small.
    """
    check_fit(adapter, source, size)
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")
    scores, predictions = [], []
    for index in range(episodes):
        episode = source.episode(split, size, seed, index)
        output = adapter.adapt_and_predict(episode, steps)
        scores.append(score(adapter.task, output, episode.query_y))
        predictions.append(output.argmax(1) if adapter.task == "classification" else output)
        if tick is not None:
            tick()
    return Evaluation(
        metric="accuracy" if adapter.task == "classification" else "mse",
        **mean_and_ci95(scores)._asdict(),
        episodes=episodes,
        scores=np.array(scores),
        predictions=np.stack(predictions),
    )


def score(task: str, output: NDArray[np.float32], y: NDArray[Any]) -> float:
    """Return the accuracy of logits (Q, ways), or the MSE of outputs like y (Q, *target_shape)."""
    if task == "classification":
        return float(np.mean(output.argmax(1) == y))
    return float(np.mean((output - y) ** 2))


class Estimate(NamedTuple):
    """A mean over episodes, and half of its 95 % confidence interval."""

    mean: float
    ci95: float


def mean_and_ci95(scores: Sequence[float]) -> Estimate:
    """Estimate a mean from at least two independent scores; ± 1.96 standard errors."""
    deviation = np.std(scores, ddof=1)
    return Estimate(float(np.mean(scores)), float(1.96 * deviation / math.sqrt(len(scores))))


def plus_minus(mean: float | None, ci95: float | None) -> str:
    """Return "0.9712 ± 0.0040"; "diverged" for what is None, as in JSON, or not finite."""
    if mean is None or ci95 is None or not (math.isfinite(mean) and math.isfinite(ci95)):
        return "diverged"
    return f"{mean:.4f} ± {ci95:.4f}"


def check_fit(adapter: Adapter, source: TaskSource, size: EpisodeSize) -> None:
    """Check that episodes of a source can be fed to an adapter.

    Raises:
        InputError: the kind of task, the samples, the number of classes or the meaning of the
            labels differ.
    """
    data = input_of(source)
    called = label_names(source) if adapter.labels else ()
    for what, got, expected in (
        ("kind of task", source.kind, adapter.task),
        ("samples", data, adapter.input),
        ("labels", called or "shuffled", adapter.labels or "shuffled"),
    ):
        if got != expected:
            raise InputError(
                f"{source.name}: its {what} do not fit the model", got=got, expected=expected
            )
    if adapter.most_ways is not None and size.ways > adapter.most_ways:
        raise InputError(
            "more ways than the model has", got=size.ways, expected=f"at most {adapter.most_ways}"
        )
