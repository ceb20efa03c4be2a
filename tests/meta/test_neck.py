"""Necks: features centred and of one length, and what one step makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgemeta import meta_train
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.neck import CenteredCosine, MatrixNeck, make_neck
from edgemeta.meta.models.parts import NeckedModel
from edgemeta.tasks import EpisodeSize, TaskSource
from tests.meta.conftest import SMALL


def features(count: int, seed: int = 0) -> Tensor:
    """Return features far from zero, as those behind a ReLU are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 7, generator=generator) + 3


def test_every_sample_gets_one_length() -> None:
    neck = CenteredCosine(7, scale=4.0).fit(features(100))
    torch.testing.assert_close(neck(features(5)).norm(dim=1), torch.full((5,), 4.0))
    torch.testing.assert_close(neck.mean, features(100).mean(0))
    assert [name for name, _ in neck.named_parameters()] == ["scale"]


def test_a_sample_at_the_mean_is_no_nan() -> None:
    neck = CenteredCosine(7).fit(features(100))
    assert torch.equal(neck(neck.mean[None]), torch.zeros(1, 7))


def test_one_step_from_zeros_is_the_nearest_class_mean_by_cosine() -> None:
    """SimpleShot's CL2N, written out."""
    mean = features(100).mean(0)
    model = nn.Sequential(CenteredCosine(7).fit(features(100)), SharedHead(7))
    loop = InnerLoop(model, LOSSES["classification"], ("1.*",))
    for shots in (1, 4):
        x, y = features(3 * shots, seed=shots), torch.arange(3).repeat(shots)
        query = features(50, seed=9)
        state = loop.adapt(loop.init(), x, y, steps=1, lr=1.0)
        found = loop.predict(state, query)
        normal = functional.normalize(x - mean, dim=1)
        means = torch.stack([normal[y == k].mean(0) for k in range(3)])
        asked = functional.normalize(query - mean, dim=1)
        wanted = asked @ means.T
        assert torch.equal(found.argmax(1), wanted.argmax(1))
        # The same up to what all classes share, and a factor: scale^2 / ways.
        centred = wanted - wanted.mean(1, keepdim=True)
        torch.testing.assert_close(
            found - found.mean(1, keepdim=True), centred * 100 / 3, rtol=1e-4, atol=1e-4
        )


def test_the_matrix_changes_nothing_at_first() -> None:
    neck, plain = MatrixNeck(7).fit(features(100)), CenteredCosine(7).fit(features(100))
    torch.testing.assert_close(neck(features(5)), plain(features(5)))


@pytest.mark.parametrize("name", ["cosine", "matrix"])
def test_necks_are_meta_learnable(name: str) -> None:
    model = nn.Sequential(make_neck(name, 7), SharedHead(7))  # type: ignore[arg-type]
    loop = InnerLoop(model, LOSSES["classification"], ("1.*",))
    x, y = features(6), torch.arange(3).repeat(2)
    state = loop.adapt(loop.grow_for(loop.init(), y), x, y, steps=1, lr=1.0, order=2)
    loss = loop.loss(loop.predict(state, features(9, seed=1)), torch.arange(3).repeat(3))
    grads = torch.autograd.grad(loss, list(model[0].parameters()))
    assert all(float(grad.abs().max()) > 0 for grad in grads)


def test_no_neck_is_no_neck() -> None:
    assert torch.equal(make_neck("none", 7)(features(2)), features(2))


NECKED = SMALL | {"head": "shared", "neck": "cosine", "adapt": ("head.*",)}


def test_pre_training_fits_the_neck_to_the_body_that_it_trains(
    source: TaskSource, tmp_path: Path
) -> None:
    run = meta_train("mlp", source, out=tmp_path / "run", **NECKED | {"objective": "classes"})
    model = run.best().model
    assert isinstance(model, NeckedModel)
    neck = model.neck
    assert isinstance(neck, CenteredCosine)
    shown = [source.episode("train", EpisodeSize(3, 1, 2), 0, k).support_x for k in range(100)]
    made = model.embed(torch.from_numpy(np.concatenate(shown)))
    torch.testing.assert_close(neck.mean, made.mean(0), rtol=1e-4, atol=1e-5)


def test_a_neck_is_fitted_where_the_start_has_none(source: TaskSource, tmp_path: Path) -> None:
    plain = meta_train("mlp", source, out=tmp_path / "plain", **SMALL | {"objective": "classes"})
    run = meta_train(
        "mlp", source, out=tmp_path / "run", **NECKED | {"start": str(plain.path), "meta_lr": 1e-9}
    )
    found, before = (each.best().model.state_dict() for each in (run, plain))
    torch.testing.assert_close(found["body.0.weight"], before["body.0.weight"])
    assert found["neck.mean"].abs().max() > 0.01
