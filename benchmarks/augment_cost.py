"""What augmentation adds to an outer step, and how it compares with kornia on images.

python -m benchmarks.augment_cost [--out benchmarks/results/augment_cost.md]

For each case the outer step of a training without augmentation is timed, then the augmentation of
what that step shows, by itself: the share is the second by the first. Samples are random numbers of
the sizes that the field uses; how long it takes does not depend on them. "pretrain" shows 240
samples a step, "maml" 8 tasks of 30.

Where kornia can be imported, its modules for the same five changes of colour images are timed
beside ours on the same 240 images, as uint8 in and out, which is what training shows. It is no
dependency: `pip install --no-deps kornia kornia_rs` into an environment of its own.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import in_rounds, local, machine, markdown, median_ms
from edgemeta.meta.augment import make_augmentation
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource, from_arrays

META_BATCH, WAYS, SHOTS, QUERIES = 8, 5, 1, 5
SAMPLES = META_BATCH * WAYS * (SHOTS + QUERIES)
LIMIT = 0.1  # of a step
THREADS = 1
timed = partial(local, clock=time.process_time)


@dataclass(frozen=True)
class Case:
    """What is trained on what.

    Attributes:
        data: what the samples are like.
        shape: of a sample.
        dtype: of the samples.
        network: and its options.
    """

    data: str
    shape: tuple[int, ...]
    dtype: str
    network: dict[str, Any]


CASES = (
    Case("words, 49 frames of 10 MFCC", (49, 10), "float32", {"model": "ds-cnn"}),
    Case("watches, 64 steps of 6 channels", (64, 6), "int16", {"model": "ds-cnn"}),
    Case("characters, 28 x 28", (28, 28), "uint8", {"model": "conv4"}),
    Case("photographs, 84 x 84 x 3", (84, 84, 3), "uint8", {"model": "conv4", "pool": "stride"}),
)


def source_of(case: Case) -> TaskSource:
    """Return random samples of a case: 30 classes, 20 samples of each."""
    x = np.random.default_rng(0).uniform(0, 255, (600, *case.shape)).astype(case.dtype)
    return from_arrays(x, np.arange(600) % 30, name=case.data)


def trainer_of(case: Case, source: TaskSource, algorithm: str, out: Path) -> Trainer:
    """Return a training without augmentation, ready for its first step."""
    config = TrainConfig.of(
        tasks="<random>",
        algorithm=algorithm,
        ways=WAYS,
        shots=SHOTS,
        queries=QUERIES,
        meta_batch=META_BATCH,
        threads=THREADS,
        strategy="loop",  # the choice would be timed, too
        **case.network,
    )
    return Trainer(config, out, source=source)


def step_of(trainer: Trainer) -> Callable[[], float]:
    """Return what takes an outer step: with the plan that training would begin with."""
    trainer._choose_plan()
    return trainer.outer_step


def augmenting(source: TaskSource) -> Callable[[], Tensor]:
    """Return what augments the samples of a step."""
    augmentation = make_augmentation(["auto"], source)
    assert augmentation is not None  # noqa: S101
    x, _ = source.labelled("train", SAMPLES, np.random.default_rng(0))  # type: ignore[attr-defined]
    samples = torch.from_numpy(x)
    return lambda: augmentation(samples, (0, 0))


def kornias(source: TaskSource) -> Callable[[], Tensor]:
    """Return what makes the same changes by kornia: (N, H, W, 3) uint8 in and out."""
    kornia = import_module("kornia.augmentation")
    height, width, _ = source.input_shape
    changes = kornia.AugmentationSequential(
        kornia.RandomResizedCrop((height, width), scale=(0.49, 1.0), ratio=(0.86, 1.16)),
        kornia.RandomAffine(degrees=15.0),
        kornia.RandomHorizontalFlip(),
        kornia.RandomBrightness((0.8, 1.2)),
        kornia.RandomContrast((0.7, 1.3)),
        kornia.RandomErasing(scale=(0.001, 0.12), p=1.0),
    )
    x, _ = source.labelled("train", SAMPLES, np.random.default_rng(0))  # type: ignore[attr-defined]
    samples = torch.from_numpy(x)

    def change() -> Tensor:
        changed: Tensor = changes(samples.permute(0, 3, 1, 2).float() / 255)
        return (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1)

    return change


def shares(rounds: int) -> list[list[str]]:
    """Time every case under both algorithms; return the rows of the table."""
    rows = []
    for case in CASES:
        source = source_of(case)
        for algorithm in ("pretrain", "maml"):
            with tempfile.TemporaryDirectory() as folder:
                trainer = trainer_of(case, source, algorithm, Path(folder) / "run")
                seconds = in_rounds(
                    {"step": timed(step_of(trainer)), "augment": timed(augmenting(source))}, rounds
                )
            step, augment = (median_ms(seconds[name]) for name in ("step", "augment"))
            network = case.network["model"]
            share = f"{augment / step:.1%}" + (" (too much)" if augment > LIMIT * step else "")
            rows.append([case.data, network, algorithm, f"{step:.0f}", f"{augment:.1f}", share])
            click.echo(" | ".join(rows[-1]), err=True)
    return rows


@click.command(help="Time augmentation beside the outer step.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables there as well.")
def main(rounds: int, out: Path | None) -> None:
    """Measure, and print the tables."""
    torch.set_num_threads(THREADS)
    header = ["data", "network", "algorithm", "step, CPU ms", "augmentation, CPU ms", "share"]
    text = markdown(header, shares(rounds))
    photographs = source_of(CASES[-1])
    contestants = {"edgemeta": timed(augmenting(photographs))}
    if find_spec("kornia") is not None:
        contestants["kornia"] = timed(kornias(photographs))
    torch.set_num_threads(THREADS)
    seconds = in_rounds(contestants, rounds)
    found = [[name, f"{median_ms(each):.0f}"] for name, each in seconds.items()]
    text += "\n\n" + markdown([f"{SAMPLES} photographs, {CASES[-1].shape}", "CPU ms"], found)
    text += f"\n\n{machine(THREADS)}"
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
