"""What the speech embedding teaches a small network on spectra, over several divisions of words.

python -m benchmarks.teacher RECORDINGS OUT [--steps 1000] [--divisions 3] [--share 0.5]

RECORDINGS is a folder {train,val,test}/WORD/*.wav, such as arabic-wave.tar.gz unpacked. Its words
are divided anew, a seed for each division. In each of them a DS-CNN is pre-trained twice, alone and
with `--teacher speech`, and evaluated on 600 test tasks as the nearest class mean. The interval of
a mean is that between divisions. Runs lie in OUT; what is there is used again. Writes
benchmarks/results/teacher.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgemeta.measure.evaluate import evaluate, mean_and_ci95
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize

RESULT = Path(__file__).resolve().parent / "results" / "teacher.json"
SHOTS, EPISODES = (1, 5), 600
RECIPE: dict[str, Any] = {
    "algorithm": "pretrain",
    "model": "ds-cnn",
    "norm": "batch",
    "neck": "cosine",
    "head": "shared",
    "adapt": ("head.*",),
    "inner_steps": 1,
    "inner_lr": 1.0,
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "meta_lr": 2e-3,
    "meta_batch": 4,
    "augment": ("auto",),
    "more_classes": ("auto",),
    "validate_every": 100,
    "validation_episodes": 200,
    "test_episodes": 0,
    "threads": 1,
}
CONTESTANTS: dict[str, dict[str, Any]] = {"alone": {}, "taught": {"teacher": "speech"}}


def gathered(recordings: Path, folder: Path) -> Path:
    """Return a folder with one folder of links for each word, whatever part it was in."""
    for word in sorted(recordings.glob("*/*/")):
        (folder / word.name).mkdir(parents=True, exist_ok=True)
        for file in word.glob("*.wav"):
            link = folder / word.name / file.name
            if not link.exists():
                link.symlink_to(file.resolve())
    return folder


def measure(path: Path, **choices: Any) -> dict[str, Any]:
    """Train, unless it is done, and return the accuracy on validation and on test tasks."""
    run = Run(path)
    if run.result() is None:
        there = run.config_path.exists()
        Trainer(TrainConfig.of(**RECIPE | choices), path, resume=there).train()
    source, adapter = run.open_tasks(), run_adapter(path)
    tested = {
        str(shots): evaluate(
            adapter, source, EpisodeSize(5, shots, 15), episodes=EPISODES, seed=0, split="test"
        ).mean
        for shots in SHOTS
    }
    return {"val": max(line["validation"] for line in run.metrics()), "test": tested}


@click.command()
@click.argument("recordings", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--steps", default=1000)
@click.option("--divisions", default=3)
@click.option("--share", default=0.5, help="The teacher's share of the loss.")
def main(recordings: Path, out: Path, steps: int, divisions: int, share: float) -> None:
    """Measure what a teacher gains."""
    tasks = str(gathered(recordings, out / "words"))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTESTANTS}
    for division in range(divisions):
        for name, choices in CONTESTANTS.items():
            own = {"tasks": tasks, "seed": division, "split_seed": division, "distill": share}
            path = out / f"{name}-{division}"
            found[name].append(measure(path, **own | choices, iterations=steps))
            click.echo(f"division {division}, {name}: {json.dumps(found[name][-1])}")
    gains = {
        str(shots): mean_and_ci95(
            [
                taught["test"][str(shots)] - alone["test"][str(shots)]
                for alone, taught in zip(found["alone"], found["taught"], strict=True)
            ]
        )._asdict()
        for shots in SHOTS
    }
    setting = {"data": recordings.name, "steps": steps, "share": share, "episodes": EPISODES}
    record = {"setting": setting, "divisions": found, "gain": gains}
    RESULT.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(json.dumps(gains))


if __name__ == "__main__":
    main()
