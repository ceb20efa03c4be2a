"""A frozen body as teacher: a model learns to place samples as the body does."""

from __future__ import annotations

import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.outer import _placement
from edgemeta.meta.outer._placement import Placement
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.reading import as_teacher_reads
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import DataOptions, TaskSource, from_arrays
from edgemeta.tasks.dataset_source import DatasetSource
from tests.meta.conftest import SMALL
from tests.meta.test_bodies_training import write_body

pytestmark = pytest.mark.usefixtures("folder")

CPU = torch.device("cpu")
CHOICES: dict[str, Any] = SMALL | {"algorithm": "pretrain", "model": "mlp", "neck": "cosine"}
WORDS, SPEAKERS = 10, 4


class Loudness(nn.Module):
    """A stand-in for the speech embedding: how loud each of ten stretches is."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, samples) to (N, 10)."""
        return x.float().unfold(1, x.shape[1] // 10, x.shape[1] // 10)[:, :10].abs().mean(2) / 1e3


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Noise that swells as its word does: a folder for each, and a file for each speaker."""
    rng = np.random.default_rng(0)
    for word in range(WORDS):
        (tmp_path / "words" / f"word{word}").mkdir(parents=True)
        swell = np.repeat(rng.integers(100, 20_000, 10), 1600)
        for speaker in range(SPEAKERS):
            with wave.open(
                str(tmp_path / "words" / f"word{word}" / f"p{speaker}_0.wav"), "wb"
            ) as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(16_000)
                file.writeframes((swell * rng.uniform(-1, 1, 16_000)).astype("<i2").tobytes())
    return tmp_path / "words"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_placement, "make_body", lambda name, input: Loudness().eval())


def opened(config: TrainConfig) -> DatasetSource:
    source = open_run_tasks(config)
    assert isinstance(source, DatasetSource)
    return source


def same_bits(one: Path, other: Path) -> bool:
    states = [
        Checkpoint.from_file(Run(path).checkpoint_path("last")).model for path in (one, other)
    ]
    return all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


def test_the_loss_is_zero_where_samples_lie_as_the_teachers_do() -> None:
    torch.manual_seed(0)
    rows, features = np.arange(10, 50), torch.randn(40, 6)
    placement = Placement(rows, 3 * features + 7)
    centred = features - features.mean(0)
    assert placement.width == 6
    assert float(placement.loss(0.5 * centred, rows)) == pytest.approx(0, abs=1e-6)  # float32
    some = np.array([49, 11, 11, 30])
    assert float(placement.loss(centred[some - 10], some)) == pytest.approx(0, abs=1e-6)
    assert float(placement.loss(-centred, rows)) == pytest.approx(2, abs=1e-6)
    assert float(placement.loss(centred.flip(0), rows)) == pytest.approx(1, abs=0.3)  # by chance


def test_what_the_teacher_does_not_know_does_not_count() -> None:
    torch.manual_seed(0)
    placement = Placement(np.array([3, 5, 8, 9]), torch.randn(4, 6))
    projected = torch.randn(6, 6, requires_grad=True)
    rows = np.array([4, 9, 3, 100, 3, 8])
    loss, known = placement.loss(projected, rows), [1, 2, 4, 5]
    assert torch.equal(loss, placement.loss(projected[known], rows[known]))
    (gradient,) = torch.autograd.grad(loss, projected)
    assert (gradient.abs().sum(1) > 0).tolist() == [False, True, True, False, True, True]
    nothing = placement.loss(projected, np.array([0, 1, 2, 4, 6, 99]))
    assert torch.equal(torch.autograd.grad(nothing, projected)[0], torch.zeros(6, 6))


def test_the_teacher_hears_the_same_files_in_its_own_way(recordings: Path) -> None:
    data = DataOptions(mels=20, seconds=2.0, draw="all")
    config = TrainConfig.of(
        tasks=str(recordings), by="subject", data=data, teacher="speech", **CHOICES
    )
    source = opened(config)
    read = as_teacher_reads(config, source)
    assert source.input_shape == (99, 10)
    assert (read.input_shape, read.input_dtype.name) == ((32_000,), "int16")
    assert read.dataset.samples.paths == source.dataset.samples.paths  # type: ignore[attr-defined]
    assert all(np.array_equal(read.rows[split], rows) for split, rows in source.rows.items())
    assert as_teacher_reads(replace(config, data=DataOptions()), source).input_shape == (20_480,)


def test_the_teacher_sees_the_same_pictures_in_its_own_way(tmp_path: Path) -> None:
    for k in range(12):
        (tmp_path / "things" / f"thing{k % 6}").mkdir(parents=True, exist_ok=True)
        pixels = np.full((40, 50), 20 * k, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "things" / f"thing{k % 6}" / f"{k}.png")
    data = DataOptions(image_size=28, color="gray")
    config = TrainConfig.of(tasks=str(tmp_path / "things"), data=data, teacher="image", **CHOICES)
    source = opened(config)
    read = as_teacher_reads(config, source)
    assert (source.input_shape, read.input_shape) == ((28, 28), (96, 96, 3))
    rows = np.arange(12)
    assert np.array_equal(
        source.dataset.samples.read(rows)[:, 0, 0], read.dataset.samples.read(rows)[:, 0, 0, 0]
    )


def test_other_files_than_the_students_are_refused(recordings: Path) -> None:
    config = TrainConfig.of(tasks=str(recordings), teacher="speech", **CHOICES)
    source = opened(config)
    file = recordings / "word1" / "p1_0.wav"
    file.rename(recordings / "word1" / "p1_1.wav")
    with pytest.raises(InputError, match="does not read the samples that the student sees"):
        as_teacher_reads(config, source)


@pytest.mark.usefixtures("stand_in")
def test_a_student_learns_to_place_recordings_as_its_teacher_does(
    recordings: Path, tmp_path: Path
) -> None:
    choices = CHOICES | {"iterations": 60, "validate_every": 60, "ways": 2}
    config = TrainConfig.of(
        tasks=str(recordings), teacher="speech", distill=1.0, **choices | {"test_episodes": 0}
    )
    trainer = Trainer(config, tmp_path / "student")
    first = trainer.outer_step()
    trainer.train()
    # The loss is that of the placement alone: nothing else makes it fall.
    assert Run(tmp_path / "student").metrics()[-1]["loss"] < 0.5 * first


def test_a_resumed_student_goes_on_bit_by_bit(source: TaskSource, tmp_path: Path) -> None:
    teacher = str(write_body(tmp_path / "body.onnx"))
    config = TrainConfig.of(tasks="<clouds>", teacher=teacher, **CHOICES)
    Trainer(config, tmp_path / "whole", source=source).train()
    half = Trainer(config, tmp_path / "half", source=source)
    half.create_run()
    half.outer_step()
    half.outer_step()
    half._validate(0.0, 1.0)
    Trainer(config, tmp_path / "half", source=source, resume=True).train()
    assert same_bits(tmp_path / "whole", tmp_path / "half")
    plain = replace(config, teacher="")
    Trainer(plain, tmp_path / "plain", source=source).train()
    assert not same_bits(tmp_path / "whole", tmp_path / "plain")
    assert Run(tmp_path / "whole").record().config.others["teacher"] == "body.onnx"


@pytest.mark.usefixtures("stand_in")
def test_changed_samples_have_no_teacher(recordings: Path, tmp_path: Path) -> None:
    """Words backwards are in the batch, and only the others pull."""
    choices = CHOICES | {"ways": 2, "more_classes": ("reverse",)}
    config = TrainConfig.of(tasks=str(recordings), teacher="speech", **choices)
    trainer = Trainer(config, tmp_path / "run")
    source, pretraining = trainer.source, trainer.pretraining
    assert isinstance(source, DatasetSource)
    assert pretraining is not None
    assert pretraining._placement is not None
    _, y, rows = source.labelled_with_ids("train", 200, np.random.default_rng(0))
    backwards = y >= len(opened(config).classes("train"))
    assert 50 < backwards.sum() < 150
    projected = torch.randn(200, 10, requires_grad=True)
    pretraining._placement.loss(projected, rows).backward()  # type: ignore[no-untyped-call]
    assert projected.grad is not None
    assert np.array_equal(projected.grad.abs().sum(1).numpy() == 0, backwards)
    trainer.train()


def test_labels_that_keep_their_meaning_have_a_teacher_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, people = np.arange(600) % 3, np.arange(600) // 30
    source = from_arrays(
        rng.normal(size=(600, 6)).astype(np.float32), y, subject=people, by="subject"
    )
    teacher = str(write_body(tmp_path / "body.onnx"))
    choices = CHOICES | {"labels": "fixed", "ways": 0, "teacher": teacher}
    config = TrainConfig.of(tasks="<people>", by="subject", **choices)
    trainer = Trainer(config, tmp_path / "run", source=source)
    assert trainer.pretraining is not None
    assert trainer.pretraining.classifier is None
    assert trainer.pretraining.projection is not None
    before = trainer.loop.model.state_dict()["head.weight"].clone()
    trainer.train()
    after = Run(tmp_path / "run").best().model.state_dict()["head.weight"]
    assert not torch.equal(before, after)
    foreign = replace(config, model="<Sequential>", neck="none", adapt=("*",))
    with pytest.raises(InputError, match="a body as teacher needs a model of features") as caught:
        Trainer(foreign, tmp_path / "foreign", source=source, model=nn.Sequential(nn.Linear(6, 3)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "maml", "teacher": "speech"}, "a body as teacher needs the loss of pre-"),
        ({"algorithm": "pretrain", "teacher": "runs/large"}, "a run as teacher needs the query"),
        ({"algorithm": "pretrain", "teacher": "speach"}, "did you mean 'speech'"),
        ({"algorithm": "reptile", "teacher": "body.onnx"}, "a body as teacher needs the loss of"),
    ],
)
def test_a_teacher_has_to_know_what_is_asked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        TrainConfig.of(tasks="glyphs", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "teacher", "message"),
    [
        ("", "speech", "the body speech takes other samples: got float32 "),
        ("", "image", "the body image takes other samples: got float32 "),
        ("", "lost.onnx", r"no such ONNX file"),
        ("glyphs", "image", "a body teaches samples that are files or arrays"),
    ],
)
def test_a_teacher_that_cannot_read_the_data_is_one_line(
    data: Path, tmp_path: Path, tasks: str, teacher: str, message: str
) -> None:
    config = TrainConfig.of(tasks=tasks or str(data), teacher=teacher, **CHOICES)
    with pytest.raises(InputError, match=message) as caught:
        Trainer(config, tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_features_that_cannot_be_kept_are_one_line(
    source: TaskSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Callable[..., None] = lambda *arguments, **options: None  # noqa: E731
    monkeypatch.setattr(FeatureCache, "behind", nothing)
    teacher = str(write_body(tmp_path / "body.onnx"))
    config = TrainConfig.of(tasks="<clouds>", teacher=teacher, **CHOICES)
    with pytest.raises(InputError, match=r"features of the teacher .* cannot be kept") as caught:
        Placement.of_teacher(config, source, CPU)
    assert "\n" not in str(caught.value)
