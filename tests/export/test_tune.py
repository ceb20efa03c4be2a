"""Measuring variants of an export, and keeping the fastest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgemeta import Runner
from edgemeta.bundle import ADAPT
from edgemeta.errors import InputError
from edgemeta_export import export_bundle, fastest
from edgemeta_export import tune as tuning
from edgemeta_export.tune import USUAL, VARIANTS

pytestmark = pytest.mark.usefixtures("lowered_once")

X, Y = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.arange(4) % 2


def export() -> partial[Path]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return partial(
        export_bundle, model, example_x=X, inner_lr=0.1, inner_steps=2, example_y=Y, algorithm="me"
    )


def test_every_variant_is_measured(tmp_path: Path) -> None:
    runner = Runner(fastest(export(), tmp_path / "bundle"))
    tuned = runner.manifest.tuned
    assert tuned is not None
    assert set(tuned["ms"]) == set(VARIANTS)
    assert all(ms > 0 for ms in tuned["ms"].values())
    assert tuned["chosen"] in VARIANTS
    assert runner.manifest.algorithm["name"] == "me"
    assert runner.adapt(X, Y).losses[-1] < runner.adapt(X, Y).losses[0]


@pytest.mark.parametrize(
    ("ms", "chosen"),
    [
        ({"unrolled": 0.5}, "unrolled"),
        ({"unrolled": 0.99}, USUAL),  # within what repeats differ by
        ({}, USUAL),
    ],
)
def test_the_fastest_is_put_into_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ms: dict[str, float], chosen: str
) -> None:
    monkeypatch.setattr(tuning, "_measured", lambda runners: dict.fromkeys(runners, 1.0) | ms)
    runner = Runner(fastest(export(), tmp_path / "bundle"))
    assert runner.manifest.tuned is not None
    assert runner.manifest.tuned["chosen"] == chosen
    ops = {
        node.op_type for node in onnx.load(runner.path / ADAPT, load_external_data=False).graph.node
    }
    assert ("If" in ops) == (chosen == "unrolled")


def test_what_is_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InputError, match="exists and is no bundle"):
        fastest(export(), tmp_path)
