"""What else a user would put behind a frozen, pre-trained body, on the same test episodes.

python -m benchmarks.pretrained_peers --body speech DATA [--by both] [--episodes 600]

All of them see the same features of the same samples: the nearest class mean, logistic regression
(scikit-learn), and what `edgemeta export --body` makes a bundle of.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from edgemeta.bundle import TensorSpec
from edgemeta.data.options import UNITS, Unit
from edgemeta.measure.evaluate import mean_and_ci95
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.models.bodies import READY, BodyModel, make_body_model
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.outer.work import fit_neck
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.meta.runs.devices import CPU
from edgemeta.tasks import DataOptions, Episode, EpisodeSize, open_tasks
from edgemeta.tasks.source import input_of
from edgemeta_export.body_export import INNER_LR, INNER_STEPS

Features = NDArray[np.float32]
Contestant = Callable[[Episode], NDArray[np.int64]]


def nearest_mean(episode: Episode) -> NDArray[np.int64]:
    """Return the class whose mean is nearest."""
    means = _means(episode.support_x, episode.support_y)
    found: NDArray[np.int64] = (
        ((episode.query_x[:, None] - means) ** 2).sum(2).argmin(1).astype(np.int64)
    )
    return found


def logistic_regression(episode: Episode) -> NDArray[np.int64]:
    """Return what scikit-learn's logistic regression says, on features of one length."""
    model = LogisticRegression(max_iter=200, C=10.0)
    model.fit(_normal(episode.support_x), episode.support_y)
    found: NDArray[np.int64] = model.predict(_normal(episode.query_x)).astype(np.int64)
    return found


def _means(x: Features, y: NDArray[np.int64]) -> Features:
    return np.stack([x[y == k].mean(0) for k in range(y.max() + 1)])


def _normal(x: Features) -> Features:
    found: Features = x / np.linalg.norm(x, axis=1, keepdims=True)
    return found


def as_exported(model: BodyModel, features: int, ways: int) -> Contestant:
    """Return what the bundle of `edgemeta export --body` does, behind its body."""
    tail = BodyModel(nn.Identity(), model.neck, model.head).eval()
    adapter = TorchAdapter(
        InnerLoop(tail, LOSSES["classification"], ("head.*",)),
        input=TensorSpec((features,), "float32"),
        ways=ways,
        inner_steps=INNER_STEPS,
        inner_lr=INNER_LR,
    )
    return lambda episode: adapter.adapt_and_predict(episode).argmax(1)


@click.command()
@click.argument("data")
@click.option("--body", type=click.Choice(list(READY)), required=True)
@click.option("--by", type=click.Choice(UNITS), default="class")
@click.option("--episodes", default=600)
def main(data: str, body: str, by: Unit, episodes: int) -> None:
    """Print the accuracy of each as JSON."""
    source = open_tasks(data, by=by, options=DataOptions(**READY[body].data))
    spec = input_of(source)
    size = EpisodeSize(5, 1, 15)
    plain, centred = (make_body_model(body, spec).eval() for _ in range(2))
    cache = FeatureCache(source)
    fit_neck(centred, cache, size, CPU)
    features = cache.behind(plain.body, CPU)
    assert features is not None  # noqa: S101  # files stay what they are
    width = features.input_shape[0]
    contestants: dict[str, Contestant] = {
        "nearest mean": nearest_mean,
        "logistic regression, normalised": logistic_regression,
        "edgemeta, normalised": as_exported(plain, width, size.ways),
        "edgemeta, centred and normalised": as_exported(centred, width, size.ways),
    }
    for shots in (1, 5):
        drawn = replace(size, shots=shots)
        scores: dict[str, list[float]] = {name: [] for name in contestants}
        for index in range(episodes):
            episode = features.episode("test", drawn, 0, index)
            for name, predict in contestants.items():
                scores[name].append(float(np.mean(predict(episode) == episode.query_y)))
        found = {name: mean_and_ci95(each) for name, each in scores.items()}
        shown = {name: f"{100 * e.mean:.1f} ± {100 * e.ci95:.1f}" for name, e in found.items()}
        record = {"body": body, "shots": shots, "accuracy": shown}
        click.echo(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main()
