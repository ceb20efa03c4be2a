"""The caller's generators of random numbers stay as they are, and a seed decides all the same."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgemeta
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.meta.runs.seeding import OwnRandomness
from edgemeta.tasks import TaskSource
from tests.meta.conftest import SMALL as TINY

pytestmark = pytest.mark.usefixtures("folder")

SMALL: dict[str, Any] = TINY | {"inner_lr": 0.1, "threads": 1}


def caller() -> tuple[Any, ...]:
    """Return the states of the global generators."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # the one of a caller
    torch_state = torch.get_rng_state().numpy().tobytes()
    return random.getstate(), name, np.asarray(keys).tobytes(), rest, torch_state


class Noisy(nn.Module):
    """Draws from torch's global generator whenever it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layer(x)
        return output + 0.1 * torch.randn_like(output)


@pytest.mark.parametrize("objective", ["query", "classes"])
def test_making_a_trainer_leaves_the_generators_of_its_caller(
    data: Path, tmp_path: Path, objective: str
) -> None:
    before = caller()
    choices = SMALL | {"tasks": str(data), "model": "mlp", "objective": objective}
    trainer = Trainer(TrainConfig.of(**choices), tmp_path / "run")
    assert caller() == before
    trainer.outer_step()
    trainer.evaluate("val", 2)
    assert caller() == before


def test_meta_training_leaves_the_generators_of_its_caller(
    source: TaskSource, tmp_path: Path
) -> None:
    before = caller()
    run = edgemeta.meta_train("mlp", source, out=tmp_path / "run", **SMALL)
    assert caller() == before
    run.best()
    assert caller() == before


@pytest.mark.parametrize("model", ["mlp", "noisy"])
def test_the_same_seed_gives_the_same_whatever_the_caller_drew(
    source: TaskSource, tmp_path: Path, model: str
) -> None:
    torch.manual_seed(5)
    noisy = Noisy()
    found = []
    for k in range(3):
        torch.manual_seed(k)  # the caller's, which decides nothing
        given = noisy if model == "noisy" else model
        settings = SMALL | {"seed": 1 if k == 2 else 0, "strategy": "loop"}
        out = tmp_path / str(k)
        run = edgemeta.meta_train(given, source, out=out, **settings)
        found.append((run.best().model.state_dict(), losses(run)))
    same, other = [found[0][1] == found[k][1] for k in (1, 2)]
    assert same
    assert not other, "the seed decides nothing: this proves nothing"
    for name, tensor in found[0][0].items():
        assert torch.equal(tensor, found[1][0][name])


def losses(run: Run) -> list[float]:
    return [json.loads(line)["loss"] for line in run.metrics_path.read_text().splitlines()]


def test_blocks_go_on_where_the_last_one_ended_and_may_be_nested() -> None:
    torch.manual_seed(7)
    whole = torch.rand(4)
    torch.manual_seed(8)
    before = caller()
    own = OwnRandomness(7)
    with own, own:
        first = torch.rand(2)
    with own:
        second = torch.rand(2)
    assert torch.equal(torch.cat([first, second]), whole)
    assert caller() == before


def test_a_block_that_raises_gives_the_generators_back() -> None:
    before = caller()
    with pytest.raises(TypeError), OwnRandomness(7):
        len(torch.rand(2).sum().item())  # type: ignore[arg-type]
    assert caller() == before
