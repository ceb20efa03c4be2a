"""Models that cannot be compiled: each is refused in one line that names the place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgemeta import InputError, Runner, UnsupportedModelError
from edgemeta_export import export_bundle

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])


class Base(nn.Module):
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("count", torch.zeros(1))

    def linear(self, x: Tensor) -> Tensor:
        output: Tensor = self.layer(x)
        return output


class Length(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).view(len(x), 3)


class Branch(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.sum() > 0 else self.linear(x) * 2


class Number(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * float(x.mean())


class Three(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + self.linear(x[:3]).sum()


class Few(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.shape[0] > 4 else self.linear(x) * 2


class Pairs(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) if x.shape[0] % 2 else self.linear(x) * 2


class Numpy(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.from_numpy(x.numpy() * 2))


class Counts(Base):
    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return self.linear(x)


class Averages(Base):
    def forward(self, x: Tensor) -> Tensor:
        self.count = self.count * 0.9 + x.mean() * 0.1
        return self.linear(x)


class Distance(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, torch.eye(3), p=3.0)


class Eigenvalues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = torch.linalg.eigvalsh(x[:, :, None] * x[:, None, :] + torch.eye(3))
        return values


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Length(), ["fixes the number of samples", "test_checks.py", "x.shape[0] instead of len"]),
        (Branch(), ["depends on the values of its data", "x.sum() > 0", "torch.where"]),
        (Number(), ["depends on the values of its data", "float(x.mean())"]),
        (Three(), ["depends on the number of samples", "samples >= 3", "not so for 2"]),
        (Few(), ["depends on the number of samples", "test_checks.py", "not so for 2"]),
        (Pairs(), ["depends on the number of samples", "test_checks.py"]),
        (Numpy(), ["cannot be traced", "x.numpy() * 2"]),
        (Counts(), ["changes buffers in its forward pass", "count"]),
        (Averages(), ["changes buffers in its forward pass", "count"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_code_that_cannot_be_traced(tmp_path: Path, model: nn.Module, words: list[str]) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        export_bundle(model, tmp_path / "bundle", X, inner_lr=0.1, inner_steps=1)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_all_unsupported_ops_are_named_at_once_with_their_layers(tmp_path: Path) -> None:
    model = nn.Sequential()
    model.add_module("first", nn.Linear(4, 3))
    model.add_module("far", Distance())
    model.add_module("spectrum", Eigenvalues())
    with pytest.raises(UnsupportedModelError) as caught:
        export_bundle(model, tmp_path / "bundle", X, inner_lr=0.1, inner_steps=1)
    text = str(caught.value)
    assert "aten._cdist_forward.default (in far)" in text
    assert "aten._cdist_backward.default (in far)" in text
    assert "aten._linalg_eigh.default (in spectrum)" in text
    assert "first" not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tracked", [True, False], ids=["support", "transductive"])
def test_batch_norm_over_one_value_is_refused_when_adapting(tmp_path: Path, tracked: bool) -> None:
    norm = nn.BatchNorm1d(5, track_running_stats=tracked)
    model = nn.Sequential(nn.Linear(4, 5), norm, nn.Linear(5, 3))
    export_bundle(model, tmp_path / "bundle", X, inner_lr=0.1, inner_steps=1)
    runner = Runner(tmp_path / "bundle")
    runner.adapt(X[:2], Y[:2])
    with pytest.raises(InputError, match=r"too few samples: got 1, expected at least 2; .*norm"):
        runner.adapt(X[:1], Y[:1])


def test_batch_norm_over_an_image_needs_one_sample_only(tmp_path: Path) -> None:
    model = nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    export_bundle(model, tmp_path / "bundle", X, inner_lr=0.1, inner_steps=1)
    runner = Runner(tmp_path / "bundle")
    assert runner.manifest.least_support == 1
    assert np.isfinite(runner.adapt(X[:1], Y[:1]).losses).all()
