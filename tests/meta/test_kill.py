"""SIGKILL at any moment, as a power cut or an out-of-memory killer does it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.run import Run

KILLS = 4
TRAIN = (
    *("train", "sinusoid", "--model", "mlp", "--hidden", "16", "--shots", "5", "--queries", "5"),
    *("--inner-lr", "0.01", "--rates", "step", "--inner-steps", "2", "--multi-step-share", "0.5"),
    *("--meta-batch", "4", "--iterations", "120", "--validate-every", "6", "--threads", "2"),
    *("--strategy", "workers", "--validation-episodes", "4", "--test-episodes", "4"),
)


def start(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgemeta", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr.decode()


def test_sigterm_stops_like_ctrl_c(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    endless = ("train", "sinusoid", "--model", "mlp", "--iterations", "1000000", "--out", run.path)
    process = start(*endless, "--strategy", "loop", "--validate-every", "1000000")
    while not run.checkpoint_path("last").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)  # into the outer loop
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert b"continue with `edgemeta train --resume" in stderr
    assert Checkpoint.from_file(run.checkpoint_path("last")).iteration > 0


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    began = time.perf_counter()
    finish(start(*TRAIN, "--out", tmp_path / "whole"))
    seconds = time.perf_counter() - began
    cut = Run(tmp_path / "cut")
    rng = np.random.default_rng(0)
    resumed_from = []
    for _ in range(KILLS):
        resume = ("--resume",) if cut.checkpoint_path("last").exists() else ()
        if resume:
            resumed_from.append(Checkpoint.from_file(cut.checkpoint_path("last")).iteration)
        process = start(*TRAIN, "--out", cut.path, *resume)
        # From the middle of the imports to the end of the run.
        time.sleep(rng.uniform(0.3, 1.0) * seconds)
        process.kill()
        process.communicate()
    assert sorted(resumed_from) == resumed_from
    assert resumed_from, "no kill found the run with a checkpoint"
    if cut.result() is None:
        finish(start(*TRAIN, "--out", cut.path, "--resume"))
    whole = Run(tmp_path / "whole")
    for which in ("last", "best"):
        left, right = (Checkpoint.from_file(run.checkpoint_path(which)) for run in (whole, cut))
        assert left.iteration == right.iteration
        for name, tensor in {**left.model, **(left.rates or {})}.items():
            assert torch.equal(tensor, {**right.model, **(right.rates or {})}[name]), name
    assert whole.result() == cut.result()
    logs = [
        [{k: v for k, v in line.items() if k != "tasks_per_second"} for line in run.metrics()]
        for run in (whole, cut)
    ]
    assert [line["iteration"] for line in logs[0]] == list(range(6, 121, 6))
    assert json.dumps(logs[0]) == json.dumps(logs[1])
