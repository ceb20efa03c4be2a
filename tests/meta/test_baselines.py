from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import evaluate, mean_and_ci95
from edgemeta.meta.compare import _supervised, baselines
from edgemeta.meta.compare._contestants import (
    CONTESTANTS,
    GRID_RATES,
    GRID_STEPS,
    GRID_STRENGTHS,
)
from edgemeta.meta.compare._on_features import FeatureAdapter
from edgemeta.meta.compare._supervised import supervised_config
from edgemeta.meta.compare.baselines import CURVE_SHOTS, compare
from edgemeta.meta.compare.record import best_point, gain
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import TorchAdapter, evaluate_steps, run_adapter
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource, open_tasks
from edgemeta.tasks.source import TaskKind

GLYPHS = TrainConfig(
    tasks="glyphs",
    model="mlp",
    hidden=(8,),
    queries=2,
    meta_batch=2,
    iterations=2,
    validate_every=2,
    validation_episodes=2,
    test_episodes=3,
    evaluation_queries=2,
    threads=1,
)
# What can be compared where labels are shuffled.
SHUFFLED = [c for c in CONTESTANTS if c.method != "no adaptation"]
SINUSOID = replace(GLYPHS, tasks="sinusoid", shots=5, queries=5, inner_lr=0.01)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run on glyphs, and what comparing it on three episodes found."""
    path = tmp_path_factory.mktemp("runs") / "run"
    Trainer(GLYPHS, path).train()
    return path, compare(path, episodes=3, curve_episodes=2)


@pytest.fixture
def copied(compared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Run:
    """A copy of them that a test may change."""
    return Run(Path(shutil.copytree(compared[0], tmp_path / "run")))


def test_every_contestant_has_a_figure(compared: tuple[Path, dict[str, Any]]) -> None:
    path, record = compared
    assert Run(path).baselines() == record
    found = {(c["init"], c["method"]): c for c in record["contestants"]}
    assert list(found) == SHUFFLED
    for (_, method), entry in found.items():
        assert 0 <= entry["mean"] <= 1
        assert entry["ci95"] >= 0
        assert ("grid" in entry) == (method in ("head", "all weights", "logistic regression"))
        if method == "logistic regression":
            assert tuple(p["C"] for p in entry["grid"]) == GRID_STRENGTHS
            assert entry["C"] in GRID_STRENGTHS
        elif "grid" in entry:
            points = {(p["steps"], p["inner_lr"]) for p in entry["grid"]}
            assert points == {(n, r) for n in GRID_STEPS for r in GRID_RATES["classification"]}
            assert (entry["steps"], entry["inner_lr"]) in points
    assert record["statistics"] == "inductive"
    result = Run(path).result()
    assert result is not None  # the run is tested on the same episodes as at its end
    assert found["meta-learned", "as trained"]["mean"] == result["mean"]


def test_the_supervised_baseline_is_a_run_of_the_same_budget(
    compared: tuple[Path, dict[str, Any]],
) -> None:
    run = Run(compared[0] / "baselines" / "pretrained")
    assert run.config() == replace(
        GLYPHS,
        algorithm="pretrain",
        objective="classes",
        adapt=("head.*",),
        inner_steps=10,
        inner_lr=0.1,
    )
    assert run.result() is not None
    reptile = TrainConfig.of(tasks="glyphs", algorithm="reptile", iterations=7, meta_batch=3)
    config = supervised_config(reptile, "classification", None)
    assert (config.meta_lr, config.optimizer, config.iterations) == (1e-3, "adam", 7)
    assert supervised_config(reptile, "classification", 9).iterations == 9
    learned = replace(GLYPHS, rates="step", multi_step_share=0.5, teacher="runs/other")
    assert supervised_config(learned, "classification", None).objective == "classes"


def test_nothing_is_computed_twice(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("computed again")

    record = copied.baselines()
    monkeypatch.setattr(_supervised, "Trainer", refuse)
    monkeypatch.setattr(baselines, "evaluate_steps", refuse)
    monkeypatch.setattr(baselines, "evaluate", refuse)
    assert compare(copied.path, episodes=3, curve_episodes=2) == record
    with pytest.raises(AssertionError, match="computed again"):
        compare(copied.path, episodes=3, seed=1, curve_episodes=2)


def test_figures_of_other_weights_are_computed_again(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = Checkpoint.from_file(copied.checkpoint_path("best"))
    copied.save(replace(best, model=best.model | {"head.bias": torch.ones(5)}), "best")
    measured = []

    def spy(adapter: Any, *arguments: Any, **options: Any) -> Any:
        measured.append(type(adapter))
        return evaluate(adapter, *arguments, **options)

    monkeypatch.setattr(baselines, "evaluate", spy)
    compare(copied.path, episodes=3, curve_episodes=0)
    assert measured == [TorchAdapter, FeatureAdapter]


def test_shots_may_be_others_than_those_of_the_training(copied: Run) -> None:
    supervised = Run(copied.pretrained_path).checkpoint_path("best").read_bytes()
    record = compare(copied.path, episodes=3, shots=2, curve_episodes=0)
    assert record["setting"]["shots"] == record["grid"]["shots"] == 2
    adapter, size = run_adapter(copied.path, 1), EpisodeSize(ways=5, shots=2, queries=2)
    steps = adapter.inner_steps
    source = open_tasks("glyphs")
    found = evaluate_steps(adapter, source, size, steps=(steps,), episodes=3, seed=0)[steps]
    assert record["contestants"][0]["mean"] == found.mean
    assert all("mean" in entry for entry in record["contestants"])
    # Pre-training knows no shots: it is not done again.
    assert Run(copied.pretrained_path).checkpoint_path("best").read_bytes() == supervised


def test_an_interruption_keeps_what_is_measured(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = copied.baselines()
    copied.baselines_path.unlink()
    calls = []

    def stop_at_the_third(*arguments: Any, **options: Any) -> Any:
        calls.append(options["episodes"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(baselines, "evaluate", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        compare(copied.path, episodes=3, curve_episodes=2)
    assert compare(copied.path, episodes=3, curve_episodes=2) == whole
    # Each once, and the third again; the curve's own shots are those of the setting.
    others = len(CURVE_SHOTS) - 1
    assert len(calls) == len(SHUFFLED) * (1 + others) + len(GRID_STRENGTHS) + 1


def test_an_interrupted_pretraining_goes_on(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = copied.baselines()
    shutil.rmtree(copied.pretrained_path)
    step = Trainer.outer_step

    def stop_at_one(self: Trainer) -> float:
        if self.iteration == 1:
            raise KeyboardInterrupt
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "outer_step", stop_at_one)
        with pytest.raises(KeyboardInterrupt):
            compare(copied.path, episodes=3, curve_episodes=2)
    assert compare(copied.path, episodes=3, curve_episodes=2) == whole


def test_choices_are_made_on_the_validation_part(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied.baselines_path.unlink()
    drawn: list[str] = []
    episode = TaskSource.episode

    def spy(self: TaskSource, split: Any, *arguments: Any) -> Any:
        drawn.append(split)
        return episode(self, split, *arguments)

    def no_test(*arguments: Any, **options: Any) -> Any:
        if options.get("split") == "val":
            return evaluate(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(TaskSource, "episode", spy)
    monkeypatch.setattr(baselines, "evaluate", no_test)
    for method in ("all weights", "logistic regression"):
        only = [c for c in CONTESTANTS if c == ("pretrained", method)]
        monkeypatch.setattr(baselines, "contestants", lambda *_, only=only, **__: only)
        with pytest.raises(KeyboardInterrupt):
            compare(copied.path, episodes=3)
    assert set(drawn) == {"val"}
    assert len(drawn) == 3 * len(GRID_RATES["classification"]) + 3 * len(GRID_STRENGTHS)


def test_regression_has_one_function_for_all_tasks_and_no_prototypes(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    Trainer(SINUSOID, run.path).train()
    record = compare(run.path, episodes=2, pretrain_iterations=1, curve_episodes=2)
    assert [c["method"] for c in record["contestants"]] == [
        "as trained", "head", "all weights", "all weights",
    ]  # fmt: skip
    assert record["metric"] == "mse"
    for entry in record["contestants"]:
        assert [point["shots"] for point in entry["curve"]] == list(CURVE_SHOTS)
    config = Run(run.pretrained_path).config()
    assert (config.inner_steps, config.iterations, config.objective) == (0, 1, "query")
    # As many samples of each task, all but one of them in the loss.
    assert config.shots + config.queries == SINUSOID.shots + SINUSOID.queries
    with pytest.raises(InputError, match=r"another pre-training.*iterations 1, not 2"):
        compare(run.path, episodes=2)


def test_the_curve_begins_with_the_scores(compared: tuple[Path, dict[str, Any]]) -> None:
    record = compared[1]
    assert record["curve"]["shots"] == [1, 2, 5, 10]
    for entry in record["contestants"]:
        assert [point["shots"] for point in entry["curve"]] == [1, 2, 5, 10]
        first = mean_and_ci95(entry["scores"][:2])
        assert entry["curve"][0] == {"shots": 1} | first._asdict()


def test_gains_are_of_the_same_episodes(compared: tuple[Path, dict[str, Any]]) -> None:
    _, record = compared
    first, *others = record["contestants"]
    assert "gain" not in first
    for entry in others:
        assert len(entry["scores"]) == 3
        assert entry["gain"]["mean"] == pytest.approx(first["mean"] - entry["mean"], abs=1e-5)


def test_how_hard_an_episode_is_cancels_out() -> None:
    run, other = {"scores": [0.2, 0.5, 0.9]}, {"scores": [0.1, 0.4, 0.8]}
    kinds: tuple[tuple[TaskKind, int], ...] = (("classification", 1), ("regression", -1))
    for kind, sign in kinds:
        found = gain(run, other, kind)
        assert found is not None
        assert found["mean"] == pytest.approx(sign * 0.1)
        assert found["ci95"] < 1e-9
    assert gain(run, {"scores": None}, "regression") is None


def test_a_diverged_point_is_never_chosen() -> None:
    grid: list[dict[str, Any]] = [
        {"steps": 1, "inner_lr": 0.1, "mean": 2.0},
        {"steps": 5, "inner_lr": 0.1, "mean": None},
        {"steps": 10, "inner_lr": 0.1, "mean": 1.0},
        {"steps": 20, "inner_lr": 0.1, "mean": 1.0},
    ]
    assert best_point(grid, "regression") == {"steps": 10, "inner_lr": 0.1}
    assert best_point(grid, "classification") == {"steps": 1, "inner_lr": 0.1}
    with pytest.raises(InputError, match="diverges at every point"):
        best_point(grid[1:2], "regression")


def test_several_steps_at_once_are_as_one_by_one(compared: tuple[Path, dict[str, Any]]) -> None:
    adapter, source = run_adapter(compared[0]), open_tasks("glyphs")
    size = EpisodeSize(5, 1, 2)
    at_once = evaluate_steps(adapter, source, size, steps=(0, 2, 3), episodes=3, seed=4)
    for steps, found in at_once.items():
        alone = evaluate(adapter, source, size, steps=steps, episodes=3, seed=4)
        assert (found.mean, found.ci95) == (alone.mean, alone.ci95)
    with pytest.raises(InputError, match="too few episodes"):
        evaluate_steps(adapter, source, size, steps=(1,), episodes=1, seed=0)
