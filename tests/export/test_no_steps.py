"""A bundle whose init is best as it is: no step by default, and the step is still recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgemeta
from edgemeta.bundle.selftest import read_selftest
from edgemeta.errors import InputError
from edgemeta.measure.verify import verify

X = np.eye(3, dtype=np.float32)


def export(path: Path, labels: tuple[str, ...] | None) -> Path:
    torch.manual_seed(0)
    return edgemeta.export_bundle(
        nn.Linear(3, 3), path, X, labels=labels, inner_lr=0.1, inner_steps=0
    )


def test_it_changes_nothing_unless_it_is_asked_to(tmp_path: Path) -> None:
    runner = edgemeta.Runner(export(tmp_path / "bundle", ("a", "b", "c")))
    assert runner.manifest.inner_steps == 0
    start = runner.init.predict_logits(X)
    assert np.array_equal(runner.adapt(X, [0, 1, 2]).predict_logits(X), start)
    assert not np.array_equal(runner.adapt(X, [0, 1, 2], steps=1).predict_logits(X), start)


def test_verifying_it_takes_a_step(tmp_path: Path) -> None:
    bundle = export(tmp_path / "bundle", ("a", "b", "c"))
    runner = edgemeta.Runner(bundle)
    assert all(difference.passed for difference in verify(runner).values())
    assert read_selftest(bundle, runner.manifest).steps == 1


def test_an_init_that_knows_no_class_needs_a_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="inner_steps is too small: got 0, expected at least 1"):
        export(tmp_path / "bundle", None)
