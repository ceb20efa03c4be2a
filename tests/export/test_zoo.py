"""Every model of the zoo: one bundle, several sizes of the support set, several steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgemeta import Runner
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta_export import export_bundle
from tests.tolerance import assert_most, excess, numpy_state
from tests.zoo import ROWS, Row

INNER_LR = 0.1
SMOKE = ("Conv2d", "MaxPool2d", "GroupNorm", "GELU", "GRU", "MultiheadAttention", "indexing")


def distance(
    row: Row, runner: Runner, loop: InnerLoop, samples: int, steps: int, seed: int
) -> float:
    """The largest difference from PyTorch in state, loss or prediction, over what is allowed."""
    x, y = row.samples(samples, seed)
    query, _ = row.samples(3, seed + 1000)
    learner = runner.adapt(x, y, steps=steps)
    state = loop.adapt(
        loop.init().as_leaves(),
        torch.from_numpy(x),
        torch.from_numpy(y),
        steps=steps,
        lr=INNER_LR,
    )
    with torch.no_grad():
        prediction = loop.predict(state, torch.from_numpy(query)).numpy()
        loss = loop.finish(state, torch.from_numpy(x), torch.from_numpy(y))[1].numpy()
    got = {"prediction": learner.predict_logits(query), "loss": learner.losses[-1]}
    want = {"prediction": prediction, "loss": loss}
    return excess(learner.state_dict() | got, numpy_state(state) | want)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, marks=[] if row.name in SMOKE else pytest.mark.slow, id=row.name)
        for row in ROWS
    ],
)
def test_row_agrees_with_pytorch(row: Row, tmp_path: Path) -> None:
    x, y = row.samples(6, seed=0)
    export_bundle(
        row.model(),
        tmp_path / "bundle",
        x,
        task=row.task,
        inner_lr=INNER_LR,
        inner_steps=2,
        loss=row.loss,
        example_y=y,
    )
    runner = Runner(tmp_path / "bundle", threads=1)
    loop = InnerLoop(row.model(), row.loss or LOSSES[row.task])
    for samples in (2, 5):
        for steps in (1, 5):
            assert_most([distance(row, runner, loop, samples, steps, seed) for seed in range(3)])


def test_the_names_are_unique_and_the_zoo_is_large() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) > 80
