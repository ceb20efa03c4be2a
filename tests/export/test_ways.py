"""Fewer classes than the head has: the others are out of reach, and left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from edgemeta import BundleError, InputError, Runner
from edgemeta.bundle import STATE_WAYS_KEY
from edgemeta.measure.evaluate import BundleAdapter, evaluate
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import EpisodeSize, open_tasks
from tests.cases import CASE, INNER_LR, Compile, Compiled
from tests.tolerance import excess, numpy_state

CLASSES = CASE["mlp-classes"]
X, _ = CLASSES.samples(9, seed=1)
Y = np.arange(9) % 3
QUERY, _ = CLASSES.samples(8, seed=2)


@pytest.fixture
def made(compiled: Compile) -> Compiled:
    return compiled(CLASSES)


def test_three_of_five_classes_as_in_pytorch(made: Compiled) -> None:
    learner = made.runner.adapt(X, Y, steps=4, ways=3)
    state = made.loop.init()._replace(ways=torch.tensor(3))
    want = made.loop.adapt(state, torch.from_numpy(X), torch.from_numpy(Y), steps=4, lr=INNER_LR)
    assert excess(learner.state_dict(), numpy_state(want)) <= 1
    with torch.no_grad():
        logits = made.loop.predict(want, torch.from_numpy(QUERY)).numpy()[:, :3]
    assert excess({"logits": learner.predict_logits(QUERY)}, {"logits": logits}) <= 1


def test_the_other_classes_are_never_predicted_and_left_alone(made: Compiled) -> None:
    learner = made.runner.adapt(X, Y, steps=10, ways=3)
    assert learner.ways == 3
    assert learner.predict_logits(QUERY).shape == (8, 3)
    assert learner.predict(QUERY).max() <= 2
    np.testing.assert_allclose(learner.predict_proba(QUERY).sum(1), 1, atol=1e-6)
    state, init = learner.state_dict(), made.runner.init.state_dict()
    for name in ("head.weight", "head.bias"):
        assert np.array_equal(state[name][3:], init[name][3:])
        assert not np.array_equal(state[name][:3], init[name][:3])


def test_all_classes_are_the_default(made: Compiled) -> None:
    default, named = (made.runner.adapt(X, Y, ways=ways) for ways in (None, 5))
    assert np.array_equal(default.predict_logits(QUERY), named.predict_logits(QUERY))
    assert default.ways == made.runner.init.ways == 5


def test_ways_stay_with_the_learner(made: Compiled, tmp_path: Path) -> None:
    learner = made.runner.adapt(X, Y, steps=2, ways=3)
    learner.save(tmp_path / "mine.safetensors")
    loaded = made.runner.load(tmp_path / "mine.safetensors")
    assert loaded.ways == 3
    assert np.array_equal(loaded.predict_logits(QUERY), learner.predict_logits(QUERY))
    assert made.runner.adapt(X, Y, state=loaded).ways == 3
    # A fourth class arrives.
    wider = made.runner.adapt(X, np.where(Y == 2, 3, Y), state=loaded, ways=4)
    assert wider.predict_logits(QUERY).shape == (8, 4)


@pytest.mark.parametrize("text", ["", "0", "6", "-3", "x", "3.0", "9" * 400, None])
def test_a_state_with_unusable_ways(made: Compiled, tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "mine.safetensors"
    made.runner.adapt(X, Y, ways=3).save(path)
    with safe_open(path, "numpy") as file:
        metadata = {k: v for k, v in file.metadata().items() if k != STATE_WAYS_KEY}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata if text is None else metadata | {STATE_WAYS_KEY: text})
    with pytest.raises(BundleError, match="unusable number of ways"):
        made.runner.load(path)


@pytest.mark.parametrize("ways", [0, 1, 6, 2.5, True, "3"])
def test_ways_that_the_head_has_not(made: Compiled, ways: object) -> None:
    with pytest.raises(InputError, match="ways"):
        made.runner.adapt(X, Y, ways=ways)  # type: ignore[arg-type]


def test_labels_beyond_the_ways(made: Compiled) -> None:
    with pytest.raises(InputError, match=r"the task's classes: got 0\.\.2, expected 0\.\.1"):
        made.runner.adapt(X, Y, ways=2)


def test_regression_has_no_ways(compiled: Compile) -> None:
    runner: Runner = compiled(CASE["mlp-sinusoid"]).runner
    x, y = CASE["mlp-sinusoid"].samples(4, seed=0)
    assert runner.init.ways is None
    with pytest.raises(InputError, match="ways is for classification"):
        runner.adapt(x, y, ways=2)


def test_evaluation_of_smaller_tasks_is_the_same_on_both(made: Compiled) -> None:
    size = EpisodeSize(ways=3, shots=1, queries=4)
    on_torch = TorchAdapter(
        made.loop, input=CLASSES.input, ways=5, inner_steps=5, inner_lr=INNER_LR
    )
    found = [
        evaluate(adapter, open_tasks("glyphs"), size, episodes=8, seed=0)
        for adapter in (on_torch, BundleAdapter(made.runner))
    ]
    assert np.array_equal(found[0].predictions, found[1].predictions)
    assert found[0].predictions.max() <= 2
