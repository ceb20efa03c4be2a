"""The JavaScript package computes what Python's does, and each reads the other's states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from edgemeta import Learner, Runner
from edgemeta.bundle.state import Label
from tests.cases import CASE, Compile
from tests.web.conftest import Node

# float32, five inner steps, two versions of onnxruntime; largest seen 4e-6
ATOL, RTOL = 2e-5, 2e-5


class Episode:
    """A support set and queries of a case, as arrays and as files."""

    def __init__(self, name: str, folder: Path, ways: int | None = None) -> None:
        self.x, self.y = CASE[name].samples(10, seed=1)
        if ways is not None:
            self.y = self.y % ways
        self.queries, _ = CASE[name].samples(6, seed=2)
        self.support, self.query = folder / "support.safetensors", folder / "query.safetensors"
        self.result, self.state = folder / "result.safetensors", folder / "state.safetensors"
        save_file({"x": self.x, "y": self.y}, self.support)
        save_file({"x": self.queries}, self.query)

    def adapt(self, node: Node, runner: Runner, **options: Any) -> dict[str, Any]:
        """Adapt in Node; `results` has what came out."""
        files = {"support": self.support, "queries": self.query, "result": self.result}
        return node.ask("adapt", bundle=runner.path, **files, out=self.state, **options)

    def results(self) -> dict[str, NDArray[Any]]:
        return load_file(self.result)

    def check(self, learner: Learner, answer: dict[str, Any]) -> None:
        """Check that Node came to what Python did."""
        assert "error" not in answer, answer
        assert answer["ways"] == learner.ways
        found = self.results()
        np.testing.assert_allclose(found["losses"], learner.losses, ATOL, RTOL)
        want = learner.predict_logits(self.queries)
        np.testing.assert_allclose(found["logits"], want.reshape(len(want), -1), ATOL, RTOL)
        if learner.ways is not None:
            assert answer["predicted"] == learner.predict(self.queries).tolist()


@pytest.fixture(
    params=["mlp-classes", "mlp-shared", "mlp-sinusoid", "conv4-support-max", "conv4-group-stride"]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_adapting_and_predicting(compiled: Compile, node: Node, name: str, tmp_path: Path) -> None:
    runner, episode = compiled(CASE[name]).runner, Episode(name, tmp_path)
    answer = episode.adapt(node, runner, steps=3, lrScale=0.5)
    episode.check(runner.adapt(episode.x, episode.y, steps=3, lr_scale=0.5), answer)
    episode.check(runner.adapt(episode.x, episode.y), episode.adapt(node, runner))


def test_states_cross_both_ways(compiled: Compile, node: Node, name: str, tmp_path: Path) -> None:
    runner, episode = compiled(CASE[name]).runner, Episode(name, tmp_path)
    labels: list[Label] | None = ["alef", "قف", 7, 0.5, "\U0001d4b3"]
    if runner.manifest.ways is None:
        labels = None
    learner = runner.adapt(episode.x, episode.y)
    learner.save(tmp_path / "python.safetensors", labels)
    files = {"queries": episode.query, "result": episode.result}
    answer = node.ask("state", bundle=runner.path, state=tmp_path / "python.safetensors", **files)
    assert answer["labels"] == labels
    np.testing.assert_allclose(
        episode.results()["logits"].ravel(), learner.predict_logits(episode.queries).ravel(), ATOL
    )
    further = runner.adapt(episode.x, episode.y, steps=2, state=learner)
    episode.check(
        further,
        episode.adapt(node, runner, steps=2, state=tmp_path / "python.safetensors", labels=labels),
    )
    # And what Node saved, Python reads.
    loaded = runner.load(episode.state)
    assert loaded.ways == further.ways
    assert loaded.labels == (None if labels is None else tuple(labels))
    np.testing.assert_allclose(
        loaded.predict_logits(episode.queries), further.predict_logits(episode.queries), ATOL, RTOL
    )


@pytest.mark.parametrize("case", ["mlp-classes", "mlp-shared"])
def test_fewer_or_more_classes(compiled: Compile, node: Node, case: str, tmp_path: Path) -> None:
    runner, episode = compiled(CASE[case]).runner, Episode(case, tmp_path, ways=3)
    for ways in (3, 4):
        learner = runner.adapt(episode.x, episode.y, ways=ways)
        episode.check(learner, episode.adapt(node, runner, ways=ways))
        assert runner.load(episode.state).ways == ways


def test_what_cannot_be_used_is_refused(compiled: Compile, node: Node, tmp_path: Path) -> None:
    runner = compiled(CASE["mlp-classes"]).runner
    regressor = compiled(CASE["mlp-sinusoid"]).runner
    episode = Episode("mlp-classes", tmp_path)
    assert "ways is out of range" in episode.adapt(node, runner, ways=6)["error"]
    error = episode.adapt(node, runner, lrScale=1000, steps=50)["error"]
    assert error.startswith("adaptation diverged: the support loss")
    # Scaled or not: a classifier's pixels are no numbers of a regression, whose targets are floats.
    assert (
        "ways is for classification"
        in Episode("mlp-sinusoid", tmp_path).adapt(node, regressor, ways=2)["error"]
    )
    learner = runner.adapt(*CASE["mlp-classes"].samples(10, seed=1))
    learner.save(tmp_path / "other.safetensors")
    answer = node.ask(
        "state",
        bundle=regressor.path,
        state=tmp_path / "other.safetensors",
        queries=episode.query,
        result=episode.result,
    )
    assert "belongs to another bundle" in answer["error"]


def test_a_regression_that_diverges_is_refused(
    compiled: Compile, node: Node, tmp_path: Path
) -> None:
    runner, episode = compiled(CASE["mlp-sinusoid"]).runner, Episode("mlp-sinusoid", tmp_path)
    error = episode.adapt(node, runner, steps=50, lrScale=1000)["error"]
    assert error.startswith("adaptation diverged: the support loss is not finite")
    assert not episode.state.exists()
    assert "error" not in episode.adapt(node, runner, steps=50, lrScale=1000, guard=False)
