"""Each algorithm trains, exports, and adapts on onnxruntime as it did on PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgemeta.device.runner import Runner
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import BundleAdapter
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.algorithms import PRESETS
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, open_tasks
from edgemeta_export import export_run
from tests.tolerance import assert_most, excess

CHOICES: dict[str, dict[str, object]] = {
    **{name: {"algorithm": name} for name in PRESETS},
    "inner adam": {"update": "adam", "inner_lr": 0.01},
    "inner momentum, rates per step and weight": {"momentum": 0.9, "rates": "step-weight"},
    "adamw, linear schedule": {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "linear"},
}


def train(path: Path, **options: object) -> None:
    config = TrainConfig.of(
        **{
            "tasks": "glyphs",
            "model": "mlp",
            "hidden": (24,),
            "queries": 3,
            "meta_batch": 2,
            "iterations": 4,
            "validate_every": 4,
            "validation_episodes": 2,
            "test_episodes": 2,
            "threads": 1,
        }
        | options
    )
    Trainer(config, path).train()


@pytest.mark.parametrize("name", CHOICES)
def test_a_run_adapts_on_onnxruntime_as_on_pytorch(name: str, tmp_path: Path) -> None:
    train(tmp_path / "run", **CHOICES[name])
    export_run(tmp_path / "run", tmp_path / "bundle")
    on_torch = run_adapter(tmp_path / "run")
    on_runtime = BundleAdapter(Runner(tmp_path / "bundle"))
    source = open_tasks("glyphs")
    for steps in (1, 12):  # 12: more than any rate per step was learned for
        excesses = []
        for index in range(3):
            episode = source.episode("test", EpisodeSize(5, 1, 4), 0, index)
            expected = on_torch.adapt_and_predict(episode, steps)
            assert not np.allclose(expected, expected[0])  # or it would not have adapted
            found = on_runtime.adapt_and_predict(episode, steps)
            excesses.append(excess({"logits": found}, {"logits": expected}))
        assert_most(excesses)


def test_learned_rates_move_and_reach_the_bundle(tmp_path: Path) -> None:
    train(tmp_path / "run", algorithm="meta-sgd", meta_lr=0.01)
    rates = Run(tmp_path / "run").best().rates
    assert isinstance(rates, dict)
    assert {name: tuple(rate.shape) for name, rate in rates.items()} == {
        "body.0.weight": (1, 24, 784),
        "body.0.bias": (1, 24),
        "head.weight": (1, 5, 24),
        "head.bias": (1, 5),
    }
    assert float((rates["head.bias"] - 0.1).abs().min()) > 1e-4
    with pytest.raises(InputError, match="learned rates fit only"):
        export_run(tmp_path / "run", tmp_path / "bundle", adapt=("head.*",))
