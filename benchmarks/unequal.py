"""Support sets with more samples of one class than of another: what a mean over samples would do.

python -m benchmarks.unequal OMNIGLOT [--episodes 150]

The packaged bundle adapts to test episodes of Omniglot (an .npz, or the official folders) of which
it is shown so many samples of each class. "Classes alike" is the loss that it was exported with.
Under the gradient of a mean over samples a class counts in proportion to its samples; with one step
from a shared head of zeros, its row is then as many times as long, and that is what "samples alike"
predicts with.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

import edgemeta
from benchmarks.timing import markdown
from edgemeta.measure.evaluate import mean_and_ci95
from edgemeta.tasks import EpisodeSize, open_tasks

COUNTS = ((1, 1, 1, 1, 1), (5, 1, 1, 1, 1), (5, 4, 3, 2, 1), (10, 10, 10, 10, 1), (3, 1))
QUERIES = 5  # of each class
SEED = 0


def measured(path: Path, counts: tuple[int, ...], episodes: int) -> list[str]:
    """Return a row of the table: the counts, and both accuracies in percent."""
    runner, source = edgemeta.load("omniglot", threads=1), open_tasks("omniglot", path)
    ways, samples = len(counts), np.array(counts)
    size = EpisodeSize(ways, max(counts), QUERIES)
    alike, by_samples = [], []
    for index in range(episodes):
        episode = source.episode("test", size, SEED, index)
        shown = [np.flatnonzero(episode.support_y == k)[:n] for k, n in enumerate(counts)]
        kept = np.concatenate(shown)
        learner = runner.adapt(episode.support_x[kept], episode.support_y[kept], ways=ways + 1)
        logits = learner.predict_logits(episode.query_x)
        leads = logits[:, :-1] - logits[:, -1:]  # over the class that has no samples
        scaled = leads * (samples * ways / samples.sum())
        alike.append(float(np.mean(leads.argmax(1) == episode.query_y)))
        by_samples.append(float(np.mean(scaled.argmax(1) == episode.query_y)))
    cells = [mean_and_ci95(scores) for scores in (by_samples, alike)]
    return [
        ", ".join(map(str, counts)),
        *(f"{100 * cell.mean:.1f} ± {100 * cell.ci95:.1f}" for cell in cells),
    ]


@click.command(help="Measure support sets with unequal numbers of samples.")
@click.argument("omniglot", type=click.Path(exists=True, path_type=Path))
@click.option("--episodes", default=150, show_default=True)
def main(omniglot: Path, episodes: int) -> None:
    """Print the table."""
    rows = [measured(omniglot, counts, episodes) for counts in COUNTS]
    click.echo(markdown(["samples of each class", "samples alike", "classes alike"], rows))


if __name__ == "__main__":
    main()
