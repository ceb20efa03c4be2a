"""Two processes that train together give what one gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.run import Run

TRAIN = (
    *("train", "glyphs", "--model", "mlp", "--hidden", "16", "--queries", "2", "--meta-batch", "5"),
    *("--iterations", "12", "--validate-every", "4", "--validation-episodes", "4"),
    *("--test-episodes", "4", "--threads", "1", "--rates", "step"),
)
# float32: the sum over tasks runs in another order. Largest seen after 12 outer steps: 2e-7.
ATOL = 1e-5


def environment() -> dict[str, str]:
    # Gloo would otherwise ask the host name for an address.
    return os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


def train(out: Path, *more: str, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = (
        ()
        if ranks == 1
        else ("torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m")
    )
    command = [sys.executable, "-m", *launcher, "edgemeta", *TRAIN, *more, "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)


def last(path: Path) -> Checkpoint:
    return Checkpoint.from_file(Run(path).checkpoint_path("last"))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["maml", "pretrain"])
def test_two_ranks_follow_the_curve_of_one(tmp_path: Path, algorithm: str) -> None:
    choices = ("--algorithm", algorithm, *(() if algorithm == "maml" else ("--rates", "fixed")))
    for ranks, name in ((1, "one"), (2, "two")):
        done = train(tmp_path / name, *choices, ranks=ranks)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("episodes") == 1  # one rank alone reports
    one, two = Run(tmp_path / "one").metrics(), Run(tmp_path / "two").metrics()
    assert [line["iteration"] for line in two] == [4, 8, 12]
    for left, right in zip(one, two, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], abs=ATOL)
    assert one[0]["loss"] != one[-1]["loss"]
    for name, tensor in last(tmp_path / "one").model.items():
        assert torch.allclose(tensor, last(tmp_path / "two").model[name], rtol=0, atol=ATOL), name


@pytest.mark.slow
def test_torchrun_restarts_a_rank_that_died(tmp_path: Path) -> None:
    """A rank kills itself in the middle; torchrun starts all anew, and they resume."""
    script = tmp_path / "dies_once.py"
    script.write_text(
        "import os, signal, sys\n"
        "from edgemeta.cli import main\n"
        "from edgemeta.meta.outer.trainer import Trainer\n"
        "step = Trainer.outer_step\n"
        "def dying(self):\n"
        "    fresh = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
        "    if fresh and self.iteration == 6 and self.ranks.rank == 1:\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "    return step(self)\n"
        "Trainer.outer_step = dying\n"
        "main(sys.argv[1:])\n"
    )
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [sys.executable, "-m", *launcher, "--max-restarts", "1", str(script)]
    out = tmp_path / "cut"
    done = subprocess.run(
        [*command, *TRAIN, "--out", str(out)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert train(tmp_path / "whole", ranks=2).returncode == 0
    for name, tensor in last(tmp_path / "whole").model.items():
        assert torch.equal(tensor, last(out).model[name]), name


def test_a_batch_is_shared_among_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks()
    assert ranks.share(range(30, 37)) == range(30, 37)
    shares = []
    for rank in range(3):
        ranks.rank, ranks.count = rank, 3
        shares.append(ranks.share(range(30, 37)))
    assert shares == [range(30, 32), range(32, 34), range(34, 37)]
    assert Ranks().agree("x") == "x"
