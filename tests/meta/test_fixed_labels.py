"""Labels that keep their meaning: rows of the head are learned, and predict before adapting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edgemeta
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import evaluate
from edgemeta.meta.outer._batches import Batches
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.checkpoint import STATISTICS, Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.labelling import WAYS, settled
from edgemeta.meta.runs.resuming import resumed_config
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, from_arrays
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.fixed_labels import with_fixed_labels

CLASSES, PEOPLE, EACH, AXES = 4, 12, 12, 6
NAMES = ("fall", "lie", "run", "walk")
CHOICES: dict[str, Any] = {
    "tasks": "<people>",
    "model": "mlp",
    "hidden": (16,),
    "labels": "fixed",
    "queries": 3,
    "meta_batch": 2,
    "meta_lr": 1e-2,
    "iterations": 60,
    "validate_every": 30,
    "validation_episodes": 10,
    "test_episodes": 10,
    "evaluation_queries": 5,
    "threads": 1,
}
SIZE = EpisodeSize(CLASSES, 1, 5)


def people(names: tuple[str, ...] = NAMES, seed: int = 0) -> DatasetSource:
    """Clouds that lie nearly alike for everybody."""
    rng = np.random.default_rng(seed)
    rows = np.arange(CLASSES * PEOPLE * EACH)
    y, subject = rows % CLASSES, rows // (CLASSES * EACH)
    centres, own = rng.normal(size=(CLASSES, AXES)), 0.1 * rng.normal(size=(PEOPLE, AXES))
    x = 2 * centres[y] + own[subject] + 0.3 * rng.normal(size=(len(y), AXES))
    return from_arrays(x.astype(np.float32), np.array(names)[y], subject=subject, by="subject")


def train(path: Path, source: DatasetSource | None = None, **choices: Any) -> Run:
    source = people() if source is None else source
    Trainer(TrainConfig.of(**CHOICES | choices), path, source=source).train()
    return Run(path, source=source)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("fixed") / "pretrained", algorithm="pretrain")


def right(run: Run, steps: int) -> float:
    size, source = SIZE, run.open_tasks()
    return evaluate(run_adapter(run), source, size, episodes=20, seed=0, steps=steps).mean


def test_a_pretrained_model_predicts_before_it_adapts(pretrained: Run) -> None:
    trained = pretrained.best()
    assert trained.statistics.labels == NAMES
    assert Checkpoint.from_file(pretrained.checkpoint_path("best")).classifier is None
    assert right(pretrained, steps=0) > 0.9
    assert right(pretrained, steps=10) > 0.9
    with torch.no_grad():
        trained.model.get_parameter("head.weight").zero_()  # the check can fail
    blind = replace_model(pretrained, trained.model)
    assert blind < 0.5


def replace_model(run: Run, model: torch.nn.Module) -> float:
    adapter = run_adapter(run)
    adapter._loop.model.load_state_dict(model.state_dict())
    return evaluate(adapter, run.open_tasks(), SIZE, episodes=20, seed=0, steps=0).mean


def test_without_a_choice_nothing_changes(tmp_path: Path) -> None:
    run = train(tmp_path / "run", labels="shuffled", algorithm="pretrain", iterations=2, ways=3)
    assert run.best().statistics.labels == ()
    assert Checkpoint.from_file(run.checkpoint_path("best")).classifier is not None


def test_auto_is_settled_when_the_training_begins(tmp_path: Path) -> None:
    run = train(tmp_path / "run", labels="auto", iterations=2, validate_every=2)
    config = run.config()
    assert (config.labels, config.ways) == ("fixed", CLASSES)
    assert resumed_config(run, {"labels": "auto"}) == config
    with pytest.raises(InputError, match="--labels differs"):
        resumed_config(run, {"labels": "shuffled"})


@pytest.mark.parametrize(
    ("choices", "labels", "ways"),
    [
        ({"labels": "auto"}, "fixed", CLASSES),
        ({"labels": "auto", "head": "shared"}, "shuffled", WAYS),
        ({"labels": "auto", "ways": CLASSES}, "fixed", CLASSES),
        ({"labels": "fixed", "body": "speech"}, "fixed", CLASSES),
        ({"labels": "shuffled", "ways": 3}, "shuffled", 3),
    ],
)
def test_what_auto_means(choices: dict[str, Any], labels: str, ways: int) -> None:
    config, source = settled(TrainConfig.of(tasks="<people>", **choices), people())
    assert (config.labels, config.ways) == (labels, ways)
    assert bool(getattr(source, "fixed", ())) == (labels == "fixed")
    assert settled(config, source)[0] == config


def test_auto_shuffles_where_classes_are_new() -> None:
    plain = from_arrays(np.arange(80.0)[:, None], np.arange(80) % 8)
    config, source = settled(TrainConfig.of(tasks="<plain>", labels="auto"), plain)
    assert (config.labels, config.ways) == ("shuffled", WAYS)
    assert source is plain


@pytest.mark.parametrize("labels", ["fixed", "auto"])
def test_ways_that_differ_are_refused(labels: str) -> None:
    config = TrainConfig.of(tasks="<people>", labels=labels, ways=3)
    with pytest.raises(InputError, match="got ways = 3, expected 4 classes") as caught:
        settled(config, people())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("choice", [{"head": "shared"}, {"algorithm": "unicorn"}])
def test_a_shared_head_has_no_row_for_each_label(choice: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="need a head with a row for each: got --head shared"):
        TrainConfig.of(tasks="<people>", labels="fixed", **choice)


def test_meta_training_starts_from_the_learned_rows(pretrained: Run, tmp_path: Path) -> None:
    choices: dict[str, Any] = {"iterations": 1, "validate_every": 1}
    choices["start"] = str(pretrained.path)
    started = train(tmp_path / "run", **choices)
    assert right(started, steps=0) > 0.9
    fresh = train(tmp_path / "fresh", iterations=1, validate_every=1)
    assert right(fresh, steps=0) < 0.6


@pytest.mark.parametrize("labels", ["fixed", "shuffled"])
def test_rows_that_mean_something_else_are_not_taken(
    pretrained: Run, tmp_path: Path, labels: str
) -> None:
    source = people(("jump", "kneel", "push", "stand"))
    choices = {"start": str(pretrained.path), "labels": labels, "ways": CLASSES}
    trainer = Trainer(TrainConfig.of(**CHOICES | choices), tmp_path / "run", source=source)
    theirs, ours = pretrained.best().model, trainer.work.model
    assert torch.equal(theirs.get_parameter("body.0.weight"), ours.get_parameter("body.0.weight"))
    assert not torch.equal(theirs.get_parameter("head.weight"), ours.get_parameter("head.weight"))


def test_a_teacher_has_to_mean_the_same(pretrained: Run, tmp_path: Path) -> None:
    choices = {"teacher": str(pretrained.path), "labels": "shuffled", "ways": CLASSES}
    with pytest.raises(InputError, match="labels of the teacher do not mean") as caught:
        Trainer(TrainConfig.of(**CHOICES | choices), tmp_path / "run", source=people())
    assert "got fall, lie, run, walk, expected shuffled labels" in str(caught.value)
    taught = train(tmp_path / "taught", teacher=str(pretrained.path), iterations=2)
    assert taught.result() is not None


def test_labels_of_other_data_are_refused(pretrained: Run) -> None:
    other = with_fixed_labels(people(("jump", "kneel", "push", "stand")))
    adapter = run_adapter(pretrained)
    with pytest.raises(InputError, match=r"its labels do not fit the model: got .*jump"):
        evaluate(adapter, other, SIZE, episodes=2, seed=0)
    with pytest.raises(InputError, match="its labels do not fit the model: got shuffled"):
        evaluate(adapter, people(), SIZE, episodes=2, seed=0)


def test_checkpoints_of_before_load(pretrained: Run, tmp_path: Path) -> None:
    record = torch.load(pretrained.checkpoint_path("best"), weights_only=True)
    del record[STATISTICS]["labels"]
    torch.save(record, tmp_path / "old.pt")
    assert Checkpoint.from_file(tmp_path / "old.pt").statistics.labels == ()


def test_a_resumed_training_is_the_same(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", iterations=8, validate_every=4)
    half = tmp_path / "half"
    config, source = whole.config(), people()
    begun = Trainer(config, half, source=source)
    begun.create_run()
    begun._choose_plan()
    for _ in range(3):
        begun.outer_step()
    begun.run.save(begun._checkpoint(), "last")
    Trainer(config, half, resume=True, source=source).train()
    one, other = (Checkpoint.from_file(Run(p).checkpoint_path("last")) for p in (whole.path, half))
    for name, tensor in one.model.items():
        assert torch.equal(tensor, other.model[name]), name


def count(y: torch.Tensor) -> int:
    return len(set(y.tolist()))


def test_half_of_the_steps_lack_classes_whatever_came_before() -> None:
    source = with_fixed_labels(people())

    def batches(share: float) -> Batches:
        size = EpisodeSize(CLASSES, 2, 2)
        return Batches(
            source, size, 5, lambda s: range(2 * s, 2 * s + 2), torch.device("cpu"), 0, share
        )

    made = batches(0.5)
    shown = [[count(y) for y in made[step].support_y] for step in range(60)]
    lacking = [counts for counts in shown if max(counts) < CLASSES]
    assert all(min(counts) == CLASSES for counts in shown if counts not in lacking)
    assert 20 < len(lacking) < 40
    assert all(count(y) == CLASSES for y in made[7].query_y)
    assert made[3].support_y.shape == made[4].support_y.shape == (2, CLASSES * 2)
    again = batches(0.5)
    assert torch.equal(again[31].support_x, made[31].support_x)
    for share, lacked in ((0.0, 0), (1.0, 20)):
        steps = (batches(share)[step].support_y for step in range(20))
        assert sum(count(y[0]) < CLASSES for y in steps) == lacked


def test_any_module_learns_what_labels_mean(tmp_path: Path) -> None:
    """Its last layer is its head; features need not be told apart."""
    model = torch.nn.Sequential(
        torch.nn.Linear(AXES, 16), torch.nn.ReLU(), torch.nn.Linear(16, CLASSES)
    )
    choices = {k: v for k, v in CHOICES.items() if k not in ("tasks", "model", "hidden")}
    run = edgemeta.meta_train(model, people(), out=tmp_path / "run", objective="classes", **choices)
    assert right(run, steps=0) > 0.9


def test_a_run_hands_its_source_out_labelled(pretrained: Run) -> None:
    plain = people()
    assert not plain.fixed
    opened = Run(pretrained.path, source=plain).open_tasks()
    assert isinstance(opened, DatasetSource)
    assert len(opened.fixed) == CLASSES


def test_a_config_says_the_same_whichever_way_it_is_made() -> None:
    config = TrainConfig.of(tasks="<people>", labels="fixed", ways=CLASSES)
    assert replace(config, ways=0) == TrainConfig.of(tasks="<people>", labels="fixed")
    with pytest.raises(InputError, match="ways is too small"):
        replace(config, labels="shuffled", ways=0)
