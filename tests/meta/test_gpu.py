"""Meta-training on a GPU; on a machine without one there is nothing to test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgemeta.meta.inner.objective import Ask
from edgemeta.meta.outer._engine import LOOP, Engine, Plan
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import prepare_gpu
from edgemeta.tasks.kinds import KINDS, DataKind
from tests.meta.augment.test_augmentation import SHAPES, every, samples
from tests.meta.test_engine import (
    CHOICES,
    TASKS,
    assert_close,
    config_of,
    gradients,
    make_engine,
    make_tasks,
)
from tests.meta.test_trainer import GLYPHS, assert_same, train_until, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

GPU = torch.device("cuda")
CONFIG = replace(
    GLYPHS,
    head="shared",
    inner_lr=0.4,
    meta_batch=4,
    iterations=100,
    validate_every=50,
    validation_episodes=10,
    test_episodes=10,
    device="cuda",
)


@pytest.mark.parametrize("chunk", [TASKS, 1])
@pytest.mark.parametrize("name", CHOICES)
def test_captured_gradients_are_those_of_the_cpu(name: str, chunk: int) -> None:
    plan = Plan(chunk, 1, recorded=True)
    prepare_gpu(GPU, "float32")
    config = config_of(**CHOICES[name])
    ask = Ask(config.inner_steps, 1 if config.order == "first" else 2, distill=0.3)
    tasks = make_tasks(teacher=config.objective == "query")
    on_cpu, on_gpu = make_engine(config), make_engine(config)
    _move(on_gpu)
    for _ in range(2):  # a replay reads the weights anew
        loss, expected = gradients(on_cpu, tasks, ask, LOOP)
        other_loss, found = gradients(on_gpu, tasks.to(GPU), ask, plan)
        assert other_loss == pytest.approx(loss, rel=1e-7)
        assert_close(expected, [grad.cpu() for grad in found])
        for ours, theirs in zip(on_cpu.leaves, on_gpu.leaves, strict=True):
            ours.data += 0.01 * torch.randn(ours.shape, dtype=ours.dtype)
            theirs.data.copy_(ours)


def _move(engine: Engine) -> None:
    """Move an engine's model, and learned rates, to the GPU."""
    for tensor in engine.leaves:
        tensor.data = tensor.data.to(GPU)
    engine.loop.model.to(GPU)
    engine.use(LOOP)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c,
        lambda c: replace(c, algorithm="maml++", rates="step", multi_step_share=0.5, inner_steps=2),
        lambda c: replace(c, precision="tf32"),
        lambda c: replace(c, precision="bf16"),
    ],
    ids=["maml", "maml++", "tf32", "bf16"],
)
def test_the_same_seed_gives_the_same_weights_also_after_an_interruption(
    tmp_path: Path, change: Callable[[TrainConfig], TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemeta.meta.outer._planning.WORTH_MEASURING", 0)
    monkeypatch.setattr("edgemeta.meta.outer._planning.MEASURING_SECONDS", 0.1)
    config = change(CONFIG)
    whole = Trainer(config, tmp_path / "whole")
    result = whole.train()
    assert result is not None
    assert whole.plan == Plan(config.meta_batch, 1, recorded=True)
    train_until(Trainer(config, tmp_path / "cut"), 70, monkeypatch)
    Trainer(config, tmp_path / "cut", resume=True).train()
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_augmented_where_they_are(kind: DataKind) -> None:
    shape = SHAPES[kind][0]
    x = samples(shape, torch.float32).to(GPU)
    augmentation = every(kind, shape)
    once = augmentation(x, [0])
    assert once.device.type == "cuda"
    assert once.isfinite().all()
    assert torch.equal(once, augmentation(x, [0]))
    assert not torch.equal(once, augmentation(x, [1]))
