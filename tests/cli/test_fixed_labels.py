"""A training whose labels keep their meaning, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgemeta.meta.runs.run import Run
from tests.cli.conftest import Call

SIZES = "--iterations 40 --meta-batch 2 --validation-episodes 5 --test-episodes 5 --queries 3"
NETWORK = "--evaluation-queries 5 --model mlp --hidden 16 --meta-lr 0.01 --threads 1"
EVAL = ("--steps", 0, "--episodes", 10, "--queries", 5, "--json")


def data(path: Path, names: tuple[str, ...] = ("lie", "run", "walk")) -> Path:
    """Write clouds that lie alike for each of ten people."""
    rng = np.random.default_rng(0)
    rows = np.arange(3 * 10 * 10)
    y, subject = rows % 3, rows // 30
    x = 3 * np.eye(3)[y] + 0.3 * rng.normal(size=(len(y), 3))
    np.savez(path, x=x.astype(np.float32), y=np.array(names)[y], subject=subject)
    return path


def test_a_run_predicts_without_a_step(call: Call, tmp_path: Path) -> None:
    own, run = data(tmp_path / "own.npz"), tmp_path / "run"
    choices = ("--by", "subject", "--labels", "auto", "--algorithm", "pretrain")
    done = call("train", own, "--out", run, *choices, *SIZES.split(), *NETWORK.split())
    assert done.code == 0, done.err
    config = Run(run).config()
    assert (config.labels, config.ways) == ("fixed", 3)
    zero = json.loads(call("eval", run, *EVAL).out)
    assert zero["mean"] > 0.9
    assert zero["ways"] == 3
    # Other people, whose file has the classes in another order, and one more.
    renamed = data(tmp_path / "renamed.npz", ("walk", "hop", "run"))
    refused = call("eval", run, renamed, *EVAL)
    assert refused.code == 2
    assert "has no class that the labels of the training name: got lie" in refused.err
    moved = data(tmp_path / "moved.npz")
    assert json.loads(call("eval", run, moved, *EVAL).out)["mean"] == zero["mean"]
    ways = call("eval", run, "--ways", 2)
    assert ways.code == 2
    assert "got ways = 2, expected 3" in ways.err
    resumed = call("train", "--out", run, "--resume", "--labels", "auto")
    assert resumed.code == 0, resumed.err


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (("--by", "subject", "--ways", 2), "got ways = 2, expected 3 classes"),
        (("--by", "subject", "--head", "shared"), "got --head shared"),
        ((), "because new classes are to be learned"),
    ],
)
def test_what_cannot_be_fixed_is_one_line(
    call: Call, tmp_path: Path, choices: tuple[str, ...], message: str
) -> None:
    own = data(tmp_path / "own.npz")
    refused = call(
        "train",
        own,
        "--out",
        tmp_path / "run",
        "--labels",
        "fixed",
        *choices,
        *SIZES.split(),
        *NETWORK.split(),
    )
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
