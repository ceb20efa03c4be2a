"""Unknown classes in an evaluation, with scores that can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import edgemeta
from edgemeta import FewShotClassifier, InputError, Runner
from edgemeta.bundle import TensorSpec
from edgemeta.measure.evaluate import BundleAdapter
from edgemeta.measure.unknown import at_false_alarms, evaluate_unknown, roc_area
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import Episode, EpisodeSize, from_arrays, open_tasks
from tests.cases import CASE, INNER_LR, Compile

SIZE = EpisodeSize(ways=4, shots=2, queries=3)


class Counted:
    """Its samples are two numbers: which class they look like, and how familiar they are."""

    task = "classification"
    ways: int | None = 2
    most_ways: int | None = 2
    input = TensorSpec((2,), "float32")
    labels: tuple[str, ...] = ()

    def adapt_and_predict(self, episode: Episode, steps: int | None = None) -> NDArray[np.float32]:
        return self.adapt_and_compare(episode, steps)[0].astype(np.float32)

    def adapt_and_compare(
        self, episode: Episode, steps: int | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        chosen, score = episode.query_x.astype(np.float64).T
        logits = np.eye(2)[chosen.astype(int)] * score[:, None]
        return logits, np.zeros(len(score))


class Fixed(Counted):
    """A source that has one episode: two learned classes, and two others."""

    name, kind, input_shape, input_dtype = "fixed", "classification", (2,), np.dtype(np.float32)
    target_shape: tuple[int, ...] = ()

    def __init__(self, queries: list[list[float]]) -> None:
        self.queries = np.array(queries, np.float32)

    def episode(self, split: str, size: EpisodeSize, seed: int, index: int) -> Episode:
        assert (split, size) == ("test", EpisodeSize(4, 1, 2))
        support = np.array([[0, 2], [1, 4], [0, 9], [0, 9]], np.float32)
        labels = np.arange(4)
        return Episode(support, labels, self.queries, labels.repeat(2))


def test_the_figures_are_those_that_one_counts() -> None:
    # Classes 0 and 1 score 2 and 4 on their own samples: that is a familiarity of 1.
    queries = [[0, 1.0], [1, 3.6], [1, 2.0], [1, 3.2], [0, 1.5], [1, 2.4], [0, 0.2], [1, 0.4]]
    # Known:   right, 0.5  wrong, 0.9 right, 0.5 right, 0.8.  Unknown: 0.75, 0.6, 0.1, 0.1
    source: Any = Fixed(queries)
    found = evaluate_unknown(Counted(), source, EpisodeSize(2, 1, 2), classes=2, episodes=2, seed=0)
    # Of 16 pairs the known one is above in 2 + 4 + 2 + 4.
    assert found.area == pytest.approx(12 / 16)
    for each, share in zip(found.at, (0.01, 0.05), strict=True):
        assert each.false_alarms == share
        assert 0.75 < each.threshold < 0.7500001  # not one of eight may pass
        assert (each.mean, each.ci95) == (0.25, 0)  # 0.9 is wrong, 0.8 is right
    assert found.record()["at"][0]["threshold"] == found.at[0].threshold


@pytest.mark.parametrize(
    ("share", "mean"), [(0, 0.25), (0.25, 0.5), (0.49, 0.5), (0.5, 0.75), (1, 1)]
)
def test_the_threshold_lets_the_share_pass_and_no_more(share: float, mean: float) -> None:
    known = np.array([[0.9, 0.65], [0.55, 0.1]])
    unknown = np.array([[0.8, 0.6], [0.5, 0.2]])
    found = at_false_alarms(known, np.ones((2, 2), bool), unknown, share)
    assert found.mean == mean
    assert (unknown >= found.threshold).mean() <= share


def test_of_equal_scores_none_passes() -> None:
    unknown = np.full((2, 50), 0.3)
    found = at_false_alarms(np.full((2, 1), 0.3), np.ones((2, 1), bool), unknown, 0.05)
    assert found.threshold > 0.3
    assert found.mean == 0


def test_the_area_is_that_of_a_coin_where_all_are_alike() -> None:
    assert roc_area(np.full(3, 0.5), np.full(4, 0.5)) == 0.5
    assert roc_area(np.arange(3.0), np.arange(-9.0, 0)) == 1
    assert roc_area(np.full(3, -np.inf), np.zeros(2)) == 0  # a divergence


@pytest.mark.parametrize("case", ["mlp-classes", "mlp-shared"])
def test_both_runtimes_reject_the_same(compiled: Compile, case: str) -> None:
    made = compiled(CASE[case])
    adapter = TorchAdapter(
        made.loop, input=made.case.input, ways=5, inner_steps=5, inner_lr=INNER_LR
    )
    on_torch, on_runtime = (
        evaluate_unknown(each, open_tasks("glyphs"), SIZE, classes=2, episodes=8, seed=3)
        for each in (adapter, BundleAdapter(made.runner))
    )
    assert on_torch.area == pytest.approx(on_runtime.area, abs=1e-3)
    for one, other in zip(on_torch.at, on_runtime.at, strict=True):
        assert one.threshold == pytest.approx(other.threshold, rel=1e-4)
        assert one.mean == other.mean


@pytest.mark.parametrize("packaged", [True, False])
def test_it_is_what_the_classifier_does(classifier: Runner, packaged: bool) -> None:
    """A shared head, and a fixed one with more classes than there are to learn."""
    runner = edgemeta.load("omniglot", threads=1) if packaged else classifier
    source = open_tasks("glyphs")
    found = evaluate_unknown(BundleAdapter(runner), source, SIZE, classes=3, episodes=5, seed=1)
    estimator = FewShotClassifier(runner, calibrate=False, reject=max(found.at[1].threshold, 0))
    right, passed = [], []
    for index in range(5):
        episode = source.episode("test", EpisodeSize(7, 2, 3), 1, index)
        mine, known = episode.support_y < 4, episode.query_y < 4
        names = [f"class {k}" for k in episode.support_y[mine]]
        estimator.fit(episode.support_x[mine], names)
        truth = [f"class {k}" for k in episode.query_y[known]]
        right.append(estimator.score(episode.query_x[known], truth))
        passed.extend(estimator.predict(episode.query_x[~known]) != "unknown")
    assert found.at[1].mean == pytest.approx(np.mean(right))
    assert np.mean(passed) <= 0.05


def test_what_cannot_be_asked(
    classifier: Runner, regressor: Runner, write_npz: Callable[..., Path]
) -> None:
    adapter: Any = BundleAdapter(classifier)
    told: dict[str, Any] = {"classes": 1, "episodes": 2, "seed": 0}
    with pytest.raises(InputError, match="too few unknown classes: got 0"):
        evaluate_unknown(adapter, open_tasks("glyphs"), SIZE, **told | {"classes": 0})
    with pytest.raises(InputError, match="too few episodes"):
        evaluate_unknown(adapter, open_tasks("glyphs"), SIZE, **told | {"episodes": 1})
    with pytest.raises(InputError, match="kind of task"):
        evaluate_unknown(adapter, open_tasks("sinusoid"), SIZE, **told)
    with pytest.raises(InputError, match="need classification: got regression"):
        evaluate_unknown(BundleAdapter(regressor), open_tasks("sinusoid"), SIZE, **told)
    named, fixed = Counted(), cast(Any, Fixed([[0, 0]]))
    named.labels = ("sit", "walk")
    with pytest.raises(InputError, match="where labels keep their meaning: got a model of sit, w"):
        evaluate_unknown(named, fixed, EpisodeSize(2, 1, 2), **told)
    few = np.zeros((30, 28, 28), np.uint8)
    source = from_arrays(few, np.arange(30) % 5, test_only=True)
    with pytest.raises(InputError, match=r"got 5 of 5.*expected 4 ways and 2 unknown classes with"):
        evaluate_unknown(adapter, source, SIZE, **told | {"classes": 2})
