"""Who is compared with a run, and on how many shots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import mean_and_ci95
from edgemeta.meta.compare import baselines
from edgemeta.meta.compare._contestants import CONTESTANTS, contestants
from edgemeta.meta.compare._supervised import supervised_config
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
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


def test_fixed_labels_are_compared_without_adaptation(
    tmp_path: Path, write_npz: Callable[..., Path]
) -> None:
    """Three classes, shown eight times by each of ten people."""
    people, y, _ = (each.ravel() for each in np.mgrid[:10, :3, :8])
    x = np.random.default_rng(0).normal(size=(3, 4))[y].astype(np.float32)
    path = write_npz(x=x + people[:, None].astype(np.float32) / 10, y=y, subject=people)
    config = TrainConfig.of(
        **vars(GLYPHS) | {"tasks": str(path), "by": "subject", "labels": "fixed", "ways": 0}
    )
    Trainer(config, tmp_path / "run").train()
    record = compare(tmp_path / "run", episodes=4, curve_episodes=3)
    found = {(c["init"], c["method"]): c for c in record["contestants"]}
    assert tuple(found) == CONTESTANTS
    for init in ("meta-learned", "pretrained"):
        alone = found[init, "no adaptation"]
        (at_once,) = alone["curve"]
        assert at_once == {"shots": 0} | mean_and_ci95(alone["scores"][:3])._asdict()
        assert "steps" not in alone
    for (init, method), entry in found.items():
        shots = [point["shots"] for point in entry["curve"]]
        if method == "no adaptation":
            continue
        at_all = method in ("as trained", "head", "all weights")
        assert shots == ([0, 1, 2, 5] if at_all else [1, 2, 5])  # of 8 samples, 2 are queries
        if at_all and init != "random":
            alone = found[init, "no adaptation"]["curve"][0]
            assert entry["curve"][0] == pytest.approx(alone, abs=1e-5)  # scores are rounded
    assert Run(Run(tmp_path / "run").pretrained_path).config().labels == "fixed"
