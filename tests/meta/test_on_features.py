from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgemeta.errors import InputError
from edgemeta.meta.compare._on_features import (
    MEAN_SAMPLES,
    FeatureAdapter,
    cosine_logits,
    logistic_logits,
    prototype_logits,
)
from edgemeta.meta.models.neck import SCALE
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.run import Run, make_loop
from edgemeta.tasks import EpisodeSize, open_tasks
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.source import input_of
from tests.meta.test_baselines import GLYPHS


def test_a_prototype_is_the_mean_of_its_class() -> None:
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    logits = prototype_logits(support, torch.tensor([0, 0, 1]), torch.tensor([[1.0, 1.0]]))
    assert logits.tolist() == [[-1.0, -32.0]]  # to (1, 0) and to (5, 5)


def test_prototypes_leave_the_model_as_it_is(tmp_path: Path) -> None:
    config = replace(GLYPHS, model="conv4", width=4, pool="stride", norm="support")
    Trainer(config, tmp_path / "run").create_run()
    trained = Run(tmp_path / "run")
    checkpoint = Checkpoint.from_file(trained.checkpoint_path("last"))
    trained.save(checkpoint, "best")
    model = trained.best().model
    adapter = FeatureAdapter(model, prototype_logits, input=checkpoint.statistics.input, ways=5)
    episode = open_tasks("glyphs").episode("test", EpisodeSize(5, 2, 3), 0, 0)
    logits = adapter.adapt_and_predict(episode)
    assert logits.shape == (15, 5)
    # One query at a time gives the same: the statistics are the support set's.
    alone = adapter.adapt_and_predict(episode._replace(query_x=episode.query_x[:1]))
    np.testing.assert_allclose(alone, logits[:1], rtol=1e-4)
    state = make_loop(config, checkpoint.statistics, model).init()
    assert all(torch.equal(v, checkpoint.model[n]) for n, v in state.buffers.items())
    with pytest.raises(InputError, match="needs a model that has them"):
        FeatureAdapter(
            torch.nn.Linear(2, 2), prototype_logits, input=checkpoint.statistics.input, ways=2
        )


def test_a_cosine_is_seen_from_the_mean_of_the_training() -> None:
    support = torch.tensor([[3.0, 1.0], [5.0, 1.0], [1.0, 4.0]])
    mean = torch.tensor([1.0, 1.0])  # from there they lie at (2, 0), (4, 0), (0, 3)
    queries = torch.tensor([[9.0, 1.0], [2.0, 2.0], [1.0, 0.0]])  # at (8, 0), (1, 1), (0, -1)
    logits = cosine_logits(support, torch.tensor([0, 0, 1]), queries, mean)
    half = SCALE / 2**0.5
    wanted = torch.tensor([[SCALE, 0], [half, half], [0, -SCALE]])
    torch.testing.assert_close(logits, wanted)


def test_the_mean_is_that_of_the_training_part() -> None:
    source = open_tasks("glyphs")
    assert isinstance(source, ClassSource)
    model = Means()
    adapter = FeatureAdapter(model, prototype_logits, input=input_of(source), ways=5)
    samples, _ = source.labelled("train", MEAN_SAMPLES, np.random.default_rng(0))
    wanted = torch.from_numpy(samples).float().mean((0, 1))
    torch.testing.assert_close(adapter.training_mean(source), wanted)


class Means(FewShotModel):
    """Its features are the means of columns."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(28, 5)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().mean(1)


@pytest.mark.parametrize("strength", [0.1, 1.0, 100.0])
def test_the_logistic_regression_is_that_of_scikit_learn(strength: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = torch.Generator().manual_seed(0)
    support, queries = torch.randn(20, 7, generator=rng), torch.randn(9, 7, generator=rng)
    y = torch.arange(20) % 4
    found = logistic_logits(support, y, queries, strength).softmax(1)
    unit = [torch.nn.functional.normalize(x).numpy() for x in (support, queries)]
    peer = linear.LogisticRegression(C=strength, tol=1e-8, max_iter=1000).fit(unit[0], y.numpy())
    np.testing.assert_allclose(found.numpy(), peer.predict_proba(unit[1]), atol=1e-3)


def test_a_weak_regression_says_less_than_a_strong_one() -> None:
    """Also with fewer samples than features, and one per class."""
    rng = torch.Generator().manual_seed(1)
    support, y = torch.randn(5, 64, generator=rng), torch.arange(5)
    weak, strong = (logistic_logits(support, y, support, c).softmax(1) for c in (0.01, 100.0))
    assert weak.argmax(1).tolist() == strong.argmax(1).tolist() == y.tolist()
    assert weak.max() < 0.25 < 0.9 < strong.diagonal().min()
