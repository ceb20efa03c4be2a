"""What a watch still knows of activities that its new wearer did not show.

python -m benchmarks.partial_labels OUT

On watch-har.npz (in $EDGEMETA_DATA or ../shared/data), divided by people, with labels that keep
their meaning. A network is pre-trained on all activities, and meta-trained from there twice: with
training support sets that lack some activities (`--partial-share 0.5`), and without (0). All three
then adapt to three of five activities of people who are new, and so does the pre-trained one with
a loss over all classes instead of those that are shown. Measured is the accuracy on queries of the
three and of the other two, before and after. Runs lie in OUT; what is there is used again. Writes
benchmarks/results/partial_labels.json and partial_labels.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.unknown import data
from edgemeta.measure.partial import evaluate_partial
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import Loss, balanced_cross_entropy
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks.classes import ClassSource

RESULTS = Path(__file__).resolve().parent / "results"
SHOWN, SHOTS, QUERIES, EPISODES, SEED = 3, (1, 5), 10, 100, 0
BOTH: dict[str, Any] = {
    "by": "subject",
    "labels": "fixed",
    "model": "ds-cnn",
    "width": 32,
    "meta_batch": 4,
    "threads": 1,
}
PRETRAINING: dict[str, Any] = {"algorithm": "pretrain", "iterations": 1500, "test_episodes": 300}
META: dict[str, Any] = {
    "adapt": ("head.*",),
    "inner_steps": 10,
    "inner_lr": 0.4,
    "iterations": 100,
    "validate_every": 50,
    "validation_episodes": 40,
    "test_episodes": 100,
}
PLAIN, OVER_ALL = "pre-trained", "pre-trained, loss over all classes"
WHOLE, LACKING = "meta-trained on whole support sets", "meta-trained, half of them partial"


def main(out: Path) -> None:
    """Train what is not there, measure, print and write."""
    tasks = str(data() / "watch-har.npz")
    pretrained = trained(out / "pretrained", tasks=tasks, **PRETRAINING)
    start = {"start": str(pretrained.path)}
    whole = trained(out / "whole", tasks=tasks, partial_share=0.0, **META | start)
    lacking = trained(out / "lacking", tasks=tasks, **META | start)
    measured = {
        OVER_ALL: measure(pretrained, balanced_cross_entropy),
        PLAIN: measure(pretrained),
        WHOLE: measure(whole),
        LACKING: measure(lacking),
    }
    setting = {"shown": SHOWN, "episodes": EPISODES, "queries": QUERIES, "seed": SEED}
    record = setting | {"runs": measured}
    (RESULTS / "partial_labels.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(measured, RESULTS / "partial_labels.png")


def trained(path: Path, **choices: Any) -> Run:
    """Return a run, which is trained to its end first."""
    run = Run(path)
    if run.result() is None:
        there = run.config_path.exists()
        Trainer(TrainConfig.of(**BOTH | choices), path, resume=there).train()
    return run


def measure(run: Run, loss: Loss | None = None) -> dict[str, Any]:
    """Return the accuracy on shown and on other activities, by shots; None for the run's loss."""
    source, found = run.open_tasks(), {}
    assert isinstance(source, ClassSource)  # noqa: S101
    config, statistics, model, rates = trained = run.best()
    loop = trained.loop()
    if loss is not None:
        loop = InnerLoop(model, loss, config.adapt, config.inner_update())
    adapter = TorchAdapter.of(loop, config, statistics, rates)
    for shots in SHOTS:
        size = EpisodeSize(len(source.fixed), shots, QUERIES)
        partial = evaluate_partial(adapter, source, size, shown=SHOWN, episodes=EPISODES, seed=SEED)
        found[str(shots)] = {name: part._asdict() for name, part in vars(partial).items()}
        print(run.path.name, shots, json.dumps(found[str(shots)]), flush=True)
    return found


def draw(measured: dict[str, Any], path: Path) -> None:
    """Draw the accuracy on activities that were not shown, before and after adapting."""
    figure = Figure(figsize=(7, 2.6))
    axes = figure.subplots(1, len(SHOTS), sharey=True)
    for axis, shots in zip(axes, SHOTS, strict=True):
        for name, found in measured.items():
            parts = found[str(shots)]
            pair = [parts[f"others_{when}"] for when in ("before", "after")]
            means, spans = ([100 * each[k] for each in pair] for k in ("mean", "ci95"))
            axis.errorbar(("before", "after"), means, spans, marker="o", capsize=3, label=name)
        axis.set_title(f"{shots} sample{'s' if shots > 1 else ''} of 3 of 5 activities", fontsize=9)
        axis.grid(alpha=0.3)
        axis.margins(x=0.2)
    axes[0].set_ylabel("% right, the other 2")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
