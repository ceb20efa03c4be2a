"""Every update and every form of learned rates, from a bundle on onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgemeta import Runner
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.updates import SGD, Update
from edgemeta_export import export_bundle
from tests.tolerance import excess, numpy_state

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


SHAPES = {name: tuple(p.shape) for name, p in model().named_parameters()}


def rates(*shape: int, weighted: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand((*shape, *(own if weighted else ())), generator=generator) / 5
        for name, own in SHAPES.items()
    }


@pytest.mark.parametrize(
    ("update", "lr"),
    [
        (Update(momentum=0.9), 0.1),
        (Update(weight_decay=0.1, clip_norm=0.2), 0.1),
        (Update("adam"), 0.05),
        (SGD, rates(3, weighted=False)),
        (SGD, rates(1, weighted=True)),
        (Update("adam", weight_decay=0.01), rates(3, weighted=True)),
    ],
    ids=["momentum", "decay, clipped", "adam", "LSLR", "Meta-SGD", "all at once"],
)
def test_parity(tmp_path: Path, update: Update, lr: Any) -> None:
    export_bundle(
        model(), tmp_path / "bundle", X, inner_lr=lr, inner_steps=3, update=update, example_y=Y
    )
    runner = Runner(tmp_path / "bundle", threads=1)
    # What the update remembers is no part of what a device keeps.
    assert [tensor.name for tensor in runner.manifest.state] == list(SHAPES)
    assert runner.manifest.algorithm["update"]["kind"] == update.kind
    loop = InnerLoop(model(), LOSSES["classification"], update=update)
    for samples, steps, scale in ((2, 1, 1.0), (6, 5, 1.0), (6, 3, 0.5)):
        scaled = {n: r * scale for n, r in lr.items()} if isinstance(lr, dict) else lr * scale
        x, y = X[:samples], Y[:samples]
        got = runner.adapt(x, y, steps=steps, lr_scale=scale).state_dict()
        want = loop.adapt(
            loop.init(), torch.from_numpy(x), torch.from_numpy(y), steps=steps, lr=scaled
        )
        assert excess(got, numpy_state(want)) <= 1, steps


def test_zero_steps_still_return_the_init(tmp_path: Path) -> None:
    export_bundle(
        model(), tmp_path / "bundle", X, inner_lr=0.1, inner_steps=1, update=Update("adam")
    )
    runner = Runner(tmp_path / "bundle")
    state = runner.adapt(X, Y, steps=0).state_dict()
    for name, tensor in model().named_parameters():
        assert np.array_equal(state[name], tensor.detach().numpy())
