"""A run is evaluated on what its training kept: what is frozen in front sees each sample once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgemeta
from edgemeta.cli import main
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Evaluation, evaluate
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource, from_arrays
from tests.meta.conftest import SMALL

pytestmark = pytest.mark.usefixtures("folder")

SIZE = EpisodeSize(3, 1, 2)
EPISODES = 40  # of 9 samples each: more than the 200 that there are
LEARNED: dict[str, Any] = {
    "adapt": ("head.*",),
    "trained": ("norm.*", "neck.*"),
    "norm_statistics": "as is",
    "inner_lr": 0.1,
}


class Body(nn.Module):
    """Counts the samples that it sees."""

    seen = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        Body.seen += len(x)
        y: Tensor = self.linear(x).relu()
        return y


class Net(FewShotModel):
    """A frozen body; behind it a norm that takes the support set's statistics, a neck, a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body, self.norm = Body(), nn.BatchNorm1d(8)
        self.neck, self.head = nn.Linear(8, 8), SharedHead(8)

    def features(self, x: Tensor) -> Tensor:
        y: Tensor = self.neck(self.norm(self.body(x)))
        return y


def make(shape: tuple[int, ...], ways: int) -> nn.Module:
    """What `--model tests.meta.test_frozen:make` names."""
    return Net()


def train(source: TaskSource | str, out: Path, **choices: Any) -> Run:
    name = "tests.meta.test_frozen:make"
    return edgemeta.meta_train(name, source, out=out, **(SMALL | LEARNED | choices))


def measured(run: Run, source: TaskSource, *, cached: bool) -> tuple[Evaluation, int]:
    """Return an evaluation, and how many samples the body saw."""
    adapter, before = run_adapter(run), Body.seen
    if cached:
        adapter, source = adapter.on_features(source, SIZE, EPISODES)
    found = evaluate(adapter, source, SIZE, episodes=EPISODES, seed=0)
    return found, Body.seen - before


def test_evaluation_reads_what_the_training_kept(
    source: TaskSource, tmp_path: Path, folder: Path
) -> None:
    run = train(source, tmp_path / "run")
    (raw, many), (found, few) = (measured(run, source, cached=c) for c in (False, True))
    np.testing.assert_array_equal(found.predictions, raw.predictions)
    assert many == EPISODES * 12  # those of the support set twice: the norm takes their statistics
    assert few < 60  # where to cut, and whether the file is true
    assert len(list(folder.glob("*.npy"))) == 1


def test_a_few_episodes_of_other_data_are_not_worth_all_of_it(
    source: TaskSource, tmp_path: Path, folder: Path
) -> None:
    run = train(source, tmp_path / "run")
    x = np.random.default_rng(1).normal(size=(400, 6)).astype(np.float32)
    other = from_arrays(x, np.arange(400) % 40)
    _, same = run_adapter(run).on_features(other, SIZE, 10)
    assert same is other
    assert len(list(folder.glob("*.npy"))) == 1
    _, cooked = run_adapter(run).on_features(other, SIZE, 100)
    assert cooked.input_shape == (8,)
    assert len(list(folder.glob("*.npy"))) == 2


def test_without_a_cache_evaluation_has_none_either(
    source: TaskSource, tmp_path: Path, folder: Path
) -> None:
    run = train(source, tmp_path / "run", cache="off")
    adapter = run_adapter(run)
    assert adapter.on_features(source, SIZE, EPISODES) == (adapter, source)
    compare(run, episodes=3)
    assert not folder.exists()


def test_data_that_do_not_fit_are_refused_before_they_are_read(
    source: TaskSource, tmp_path: Path
) -> None:
    run = train(source, tmp_path / "run")
    wide = from_arrays(np.zeros((40, 7), np.float32), np.arange(40) % 20)
    with pytest.raises(InputError, match="samples do not fit the model"):
        run_adapter(run).on_features(wide, SIZE, EPISODES)


def test_baselines_are_the_same_on_features(source: TaskSource, tmp_path: Path) -> None:
    records, seen = [], []
    for cache in ("auto", "off"):
        run = train(source, tmp_path / cache, cache=cache)
        before = Body.seen
        records.append(compare(run, episodes=5))
        seen.append(Body.seen - before)
    cached, raw = (record["contestants"] for record in records)
    assert len(cached) == 8
    for one, other in zip(cached, raw, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=0.2)  # of 6 queries, one
        assert one["mean"] == pytest.approx(other["mean"], abs=0.05)
    assert seen[0] < 0.8 * seen[1]  # where all weights adapt, nothing is frozen


def test_the_command_line_reads_features_too(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(str(data), tmp_path / "run")
    before = Body.seen
    main(["eval", str(tmp_path / "run"), "--episodes", str(EPISODES), "--queries", "2"])
    assert "test episodes" in capsys.readouterr().out
    assert Body.seen - before < 60
