from __future__ import annotations

import pytest
import torch
from torch import nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.norms import SupportNorm, with_support_norms
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.models.parts import NORMS, Norm, Preprocess


@pytest.mark.parametrize(
    ("shape", "want"),
    [
        ((28, 28), (2, 1, 28, 28)),
        ((28, 30, 3), (2, 3, 28, 30)),
        ((3, 28, 30), (2, 3, 28, 30)),
        ((49, 10, 1), (2, 1, 49, 10)),
    ],
)
def test_images_come_out_channels_first(shape: tuple[int, ...], want: tuple[int, ...]) -> None:
    preprocess = Preprocess(TensorSpec(shape, "uint8"), "image", std=(255.0,))
    out = preprocess(torch.full((2, *shape), 255, dtype=torch.uint8))
    assert tuple(out.shape) == want
    assert out.dtype == torch.float32
    assert torch.all(out == 1)


def test_standardising_runs_along_the_last_axis() -> None:
    preprocess = Preprocess(TensorSpec((4, 2), "int16"), "vector", mean=(1.0, -2.0), std=(2.0, 4.0))
    x = torch.tensor([[[3, 2]] * 4], dtype=torch.int16)
    assert torch.all(preprocess(x) == 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("pool", ["max", "stride"])
def test_conv4_maps_raw_images_to_logits(norm: Norm, pool: str) -> None:
    model = build_model(
        "conv4",
        TensorSpec((28, 28), "uint8"),
        ways=5,
        width=16,
        norm=norm,
        pool=pool,  # type: ignore[arg-type]
    )
    logits = model(torch.randint(0, 256, (4, 28, 28), dtype=torch.uint8))
    assert tuple(logits.shape) == (4, 5)
    # the paper's 3x3 filters in four blocks, and a linear head
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [tuple(c.weight.shape) for c in convolutions] == [(16, 1, 3, 3), *[(16, 16, 3, 3)] * 3]


def test_mlp_regression_has_the_targets_shape() -> None:
    model = build_model("mlp", TensorSpec((3,), "float32"), target_shape=(2, 2))
    assert tuple(model(torch.randn(5, 3)).shape) == (5, 2, 2)


def test_an_image_too_small_for_max_pooling_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="--pool stride"):
        build_model("conv4", TensorSpec((64, 6), "int16"), ways=3)
    model = build_model("conv4", TensorSpec((64, 6), "int16"), ways=3, pool="stride")
    assert tuple(model(torch.zeros(2, 64, 6, dtype=torch.int16)).shape) == (2, 3)


def test_support_norm_is_batch_norm_in_both_modes() -> None:
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(3, momentum=1.0)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours = with_support_norms(nn.Sequential(theirs))[0]  # type: ignore[index]
    assert isinstance(ours, SupportNorm)
    x, other = torch.randn(4, 3, 5, 5), torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(ours.train()(x), theirs.train()(x))
    theirs.running_var = x.var((0, 2, 3), correction=0)  # PyTorch keeps the unbiased one
    torch.testing.assert_close(ours.eval()(other), theirs.eval()(other))


def test_a_transductive_batch_norm_stays() -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    assert with_support_norms(norm) is norm


@pytest.mark.parametrize("norm", NORMS)
def test_a_keyword_spotter_is_small(norm: Norm) -> None:
    model = build_model("ds-cnn", TensorSpec((49, 10), "float16"), ways=5, norm=norm)
    assert model(torch.zeros((3, 49, 10), dtype=torch.float16)).shape == (3, 5)
    assert 20_000 < sum(p.numel() for p in model.parameters()) < 40_000
