from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgemeta import InputError, Runner
from edgemeta.measure.evaluate import BundleAdapter, evaluate, plus_minus
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import EpisodeSize, open_tasks
from tests.cases import CASE, INNER_LR, Compile

SIZE = EpisodeSize(ways=5, shots=1, queries=3)


def test_torch_and_onnxruntime_predict_the_same_labels(compiled: Compile) -> None:
    made = compiled(CASE["mlp-classes"])
    torch_adapter = TorchAdapter(
        made.loop, input=made.case.input, ways=5, inner_steps=5, inner_lr=INNER_LR
    )
    found = [
        evaluate(adapter, open_tasks("glyphs"), SIZE, episodes=10, seed=3)
        for adapter in (torch_adapter, BundleAdapter(made.runner))
    ]
    assert found[0].predictions.shape == (10, 15)
    assert np.array_equal(found[0].predictions, found[1].predictions)
    assert found[0].mean == found[1].mean


def test_mean_and_interval_are_those_of_the_episodes(regressor: Runner) -> None:
    source = open_tasks("sinusoid")
    size = EpisodeSize(shots=10, queries=5)
    found = evaluate(BundleAdapter(regressor), source, size, episodes=6, seed=0, steps=2)
    scores = []
    for index in range(6):
        sx, sy, qx, qy = source.episode("test", size, 0, index)
        output = regressor.adapt(sx, sy, steps=2, guard=False).predict(qx)
        scores.append(float(np.mean((output - qy) ** 2)))
    assert found.metric == "mse"
    assert found.mean == pytest.approx(np.mean(scores))
    assert found.ci95 == pytest.approx(1.96 * np.std(scores, ddof=1) / 6**0.5)


def test_seed_and_part_choose_the_episodes(classifier: Runner) -> None:
    def predictions(**options: object) -> bytes:
        chosen = {"episodes": 4, "seed": 0} | options
        found = evaluate(BundleAdapter(classifier), open_tasks("glyphs"), SIZE, **chosen)  # type: ignore[arg-type]
        return found.predictions.tobytes()

    assert predictions() == predictions()
    assert predictions() != predictions(seed=1)
    assert predictions() != predictions(split="val")


def test_tasks_that_do_not_fit(classifier: Runner, write_npz: Callable[..., Path]) -> None:
    adapter = BundleAdapter(classifier)
    with pytest.raises(InputError, match="kind of task do not fit"):
        evaluate(adapter, open_tasks("sinusoid"), SIZE, episodes=4, seed=0)
    x, y = np.zeros((60, 3), np.float32), np.repeat(np.arange(15), 4)
    with pytest.raises(InputError, match="samples do not fit"):
        evaluate(adapter, open_tasks(str(write_npz(x=x, y=y))), SIZE, episodes=4, seed=0)
    many = EpisodeSize(ways=6, shots=1, queries=1)
    with pytest.raises(InputError, match="more ways than the model has: got 6"):
        evaluate(adapter, open_tasks("glyphs"), many, episodes=4, seed=0)
    with pytest.raises(InputError, match="too few episodes"):
        evaluate(adapter, open_tasks("glyphs"), SIZE, episodes=1, seed=0)


def test_a_figure_is_shown_with_its_interval() -> None:
    assert plus_minus(0.97123, 0.004) == "0.9712 ± 0.0040"
    for mean, ci95 in ((None, None), (float("nan"), 0.1), (1.0, float("inf"))):
        assert plus_minus(mean, ci95) == "diverged"
