"""Who is compared with a run, and on how many shots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import evaluate
from edgemeta.meta.compare import baselines
from edgemeta.meta.compare._adapters import Adapters
from edgemeta.meta.compare._contestants import CONTESTANTS, Contestant, contestants
from edgemeta.meta.compare._supervised import supervised_config
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, open_tasks
from tests.meta.test_baselines import GLYPHS


def test_a_pretraining_is_its_own_pretrained_init(tmp_path: Path) -> None:
    path = tmp_path / "run"
    config = replace(GLYPHS, algorithm="pretrain", objective="classes", adapt=("head.*",))
    Trainer(config, path).train()
    record = compare(path, episodes=3, curve_episodes=0)
    assert not (path / "baselines").exists()
    found = [(c["init"], c["method"]) for c in record["contestants"]]
    assert found[:2] == [("pretrained", "as trained"), ("pretrained", "head")]
    assert ("pretrained", "logistic regression") in found
    assert found[-1] == ("random", "all weights")
    assert len(set(found)) == len(found) == 7
    result = Run(path).result()
    assert result is not None
    assert record["contestants"][0]["mean"] == result["mean"]
    with pytest.raises(InputError, match="is a pre-training, so nothing else is pre-trained"):
        compare(path, pretrain_iterations=3)


def test_pretraining_has_the_augmentation_and_the_budget_of_the_run(tmp_path: Path) -> None:
    start = replace(GLYPHS, iterations=3, meta_batch=4, more_classes=("turns",))
    Run(tmp_path / "start").create(start)
    config = replace(start, iterations=5, meta_batch=2, start=str(tmp_path / "start"))
    config = replace(config, augment=("crop",), split_seed=0)
    found = supervised_config(config, "classification", None)
    assert found.iterations == 5 + 3 * 2  # each step of the start showed twice the samples
    assert (found.start, found.augment, found.more_classes) == ("", ("crop",), ("turns",))
    assert supervised_config(config, "classification", 4).iterations == 4
    gone = replace(config, start=str(tmp_path / "gone"))
    assert supervised_config(gone, "classification", None).iterations == 5


def test_who_is_compared() -> None:
    every = contestants(
        ("meta-learned", "pretrained", "random"), "classification", fixed=True, features=True
    )
    assert every == CONTESTANTS
    alone = contestants(("meta-learned", "random"), "classification", fixed=False, features=False)
    assert alone == (("meta-learned", "as trained"), ("random", "all weights"))
    regression = contestants(("pretrained", "random"), "regression", fixed=False, features=True)
    assert [c.method for c in regression] == ["as trained", "head", "all weights", "all weights"]


def test_the_curve_ends_where_the_data_do(
    tmp_path: Path, write_npz: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six samples of each class: two of them for the queries, and one or two shots."""
    x = np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32)
    path = write_npz(x=x, y=np.arange(90) % 15)
    Trainer(replace(GLYPHS, tasks=str(path), ways=2), tmp_path / "run").train()
    record = compare(tmp_path / "run", episodes=3, curve_episodes=3)
    for entry in record["contestants"]:
        assert [point["shots"] for point in entry["curve"]] == [1, 2]
    monkeypatch.setattr(baselines, "evaluate", None)
    assert compare(tmp_path / "run", episodes=3, curve_episodes=3) == record
    with pytest.raises(InputError, match="curve_episodes is out of range: got 1"):
        compare(tmp_path / "run", curve_episodes=1)


def test_fixed_labels_are_compared_without_adaptation(tmp_path: Path) -> None:
    """As if the labels of glyphs kept their meaning: what is asked of an init is its own head."""
    Trainer(GLYPHS, tmp_path / "run").train()
    run = Run(tmp_path / "run").best()
    inits: Any = {"meta-learned": run, "random": run}
    adapters = Adapters(inits, open_tasks("glyphs"), looks=0)
    size = EpisodeSize(5, 1, 2)
    found, source = adapters.make(Contestant("meta-learned", "no adaptation"), {})
    alone = evaluate(found, source, size, episodes=3, seed=0)
    as_trained = adapters.make(Contestant("meta-learned", "as trained"), {})[0]
    wanted = evaluate(as_trained, source, size, episodes=3, seed=0, steps=0)
    assert np.array_equal(alone.predictions, wanted.predictions)
