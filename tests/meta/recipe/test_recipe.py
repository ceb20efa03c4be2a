"""The recipe from beginning to end, on clouds of points: seconds instead of half an hour."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import edgemeta
from edgemeta.cli.train import train
from edgemeta.errors import InputError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.recipe import Recipe, asks_for_recipe
from edgemeta.meta.recipe import recipe as module
from edgemeta.meta.recipe.choosing import cheapest
from edgemeta.meta.report.page import make_page
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import from_arrays
from edgemeta.tasks.dataset_source import DatasetSource

TINY: dict[str, Any] = {"minutes": 0.01, "threads": 1, "test_episodes": 10}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "LEAST_EPISODES", 4)


def clouds(classes: int = 20) -> DatasetSource:
    rng = np.random.default_rng(0)
    y = np.arange(classes * 24) % classes
    x = rng.normal(size=(classes, 6))[y] + 0.3 * rng.normal(size=(len(y), 6))
    return from_arrays(x.astype(np.float32), y)


def people() -> DatasetSource:
    rng = np.random.default_rng(0)
    rows = np.arange(3 * 10 * 12)
    y, subject = rows % 3, rows // 36
    x = 2 * np.eye(3)[y] + 0.4 * rng.normal(size=(len(y), 3))
    return from_arrays(
        x.astype(np.float32), np.array(["a", "b", "c"])[y], subject=subject, by="subject"
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST_EPISODES", 4)
        patch.setenv("EDGEMETA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return edgemeta.meta_train(
            None, clouds(), out=tmp_path_factory.mktemp("recipe") / "run", recipe="auto", **TINY
        )


def test_the_winner_is_a_run_like_others(made: Run, tmp_path: Path) -> None:
    record, config, result = made.recipe(), made.config(), made.result()
    assert record is not None
    assert result is not None
    chosen = record["chosen"]["choices"]
    assert (config.neck, config.inner_steps) == (chosen["neck"], chosen["inner_steps"])
    assert config.recipe == "auto"
    assert result["episodes"] == 10
    assert result["mean"] > 0.6  # of five classes
    bundle = edgemeta.export(made, tmp_path / "bundle")
    example = made.example()
    learner = edgemeta.Runner(bundle).adapt(example.support_x, example.support_y)
    assert np.mean(learner.predict(example.query_x) == example.query_y) > 0.6


def test_what_was_trained_on_larger_tasks_is_exported_as_it_is_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "edgemeta.meta.recipe.recipe.cheapest",
        lambda found: cheapest([s for s in found if s.init == "meta-trained"]),
    )
    run = edgemeta.meta_train(None, clouds(40), out=tmp_path / "run", recipe="auto", **TINY)
    assert Run(run.recipe_folder / "meta-trained").config().ways == 8
    assert run.config().ways == 5
    bundle = edgemeta.export(run, tmp_path / "bundle")
    assert edgemeta.Runner(bundle).manifest.any_ways
    assert len(set(run.example().support_y.tolist())) == 5


def test_all_was_compared_and_only_the_winner_tested(made: Run) -> None:
    record = made.recipe()
    assert record is not None
    names = {path.name for path in made.recipe_folder.iterdir() if path.is_dir()}
    assert names == {"pretrained-plain", "pretrained-augmented", "meta-trained"}
    assert {each["init"] for each in record["compared"]} == names
    assert {each["adapts"] for each in record["compared"]} == {"head", "all weights"}
    for name in names:
        result = Run(made.recipe_folder / name).result()
        assert result is not None
        assert result["mean"] is None


def test_the_decision_stands_in_report_and_bundle(made: Run, tmp_path: Path) -> None:
    page = make_page(Run(made.path, source=clouds()), episodes=2)
    assert "How it was chosen" in page
    config = json.loads((edgemeta.export(made, tmp_path / "bundle") / "manifest.json").read_text())[
        "training"
    ]["config"]
    assert config["compared"]["table"]["rows"]


def test_labels_with_a_meaning_need_no_sample(tmp_path: Path) -> None:
    tiny = TINY | {"test_episodes": 0}
    run = edgemeta.meta_train(None, people(), out=tmp_path / "run", recipe="auto", **tiny)
    record, result = run.recipe(), run.result()
    assert result is not None
    assert result["mean"] is None, "nothing was to be tested"
    assert record is not None
    assert record["labels"] == run.config().labels == "fixed"
    assert "nothing" in {each["adapts"] for each in record["compared"]}
    bundle = edgemeta.export(run, tmp_path / "bundle")
    runner = edgemeta.Runner(bundle)
    assert runner.init.labels == ("a", "b", "c")
    assert runner.manifest.inner_steps == run.config().inner_steps
    example = run.example()
    assert np.mean(runner.init.predict(example.query_x) == example.query_y) > 0.8


def test_an_interrupted_recipe_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = Trainer.train

    def interrupted(self: Trainer) -> Any:
        seen.append(self.run.path.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(Trainer, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        edgemeta.meta_train(None, clouds(), out=tmp_path / "run", recipe="auto", **TINY)
    assert Recipe.began(tmp_path / "run")
    with pytest.raises(InputError, match="holds a run already"):
        edgemeta.meta_train(None, clouds(), out=tmp_path / "run", recipe="auto", **TINY)
    run = edgemeta.meta_train(
        None, clouds(), out=tmp_path / "run", recipe="auto", resume=True, **TINY
    )
    assert seen == [
        "pretrained-augmented",
        *["pretrained-plain"] * 2,
        "meta-trained",
    ]
    assert run.result() is not None


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, True),
        ({"by": "subject", "width": 32, "minutes": 5.0}, True),
        ({"iterations": 10}, False),
        ({"algorithm": "maml"}, False),
        ({"iterations": 10, "recipe": "auto"}, True),  # refused, with a reason
        ({"recipe": "none"}, False),
        ({"model": "my.module:make"}, False),
        ({"tasks": "sinusoid"}, False),
    ],
)
def test_choices_of_a_training_by_hand_turn_it_off(given: dict[str, Any], asked: bool) -> None:
    assert asks_for_recipe({"tasks": "glyphs"} | given) is asked


def test_it_trains_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not asks_for_recipe({"tasks": "glyphs"})
    with pytest.raises(InputError, match="the recipe trains in one process"):
        Recipe(tmp_path / "run", {"tasks": "glyphs"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["glyphs", "--recipe", "auto", "--iterations", "5"], "the recipe chooses these itself"),
        (["sinusoid", "--recipe", "auto"], "the recipe is for classification"),
    ],
)
def test_what_it_cannot_do_is_one_line(tmp_path: Path, options: list[str], message: str) -> None:
    found = CliRunner().invoke(train, [*options, "--out", str(tmp_path / "run")])
    assert isinstance(found.exception, InputError)
    assert message in str(found.exception)
    assert not (tmp_path / "run").exists()
