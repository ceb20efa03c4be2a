"""Convolutions by tiles against PyTorch's own, in float64, for any size, padding and order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edgemeta import Runner
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.layout.values import Filter, Grid, Image
from edgemeta_export.layout.winograd import Tiles, tiles_if_faster
from tests.export.layout.test_convolution import CONV, QUICK, close, normal, shuffled


@QUICK
@given(
    size=st.lists(st.integers(3, 7), min_size=1, max_size=2).map(tuple),
    padding=st.integers(0, 2),
    samples=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_tiles_compute_any_3x3_convolution_and_its_gradients(
    size: tuple[int, ...], padding: int, samples: int, seed: int
) -> None:
    x, w, b = normal(samples, 2, *size), normal(4, 2, *[3] * len(size), seed=1), normal(4, seed=2)
    leaves = [t.requires_grad_() for t in (x, w, b)]
    want = CONV[len(size)](x, w, b, 1, padding)
    outer = normal(*want.shape, seed=3)
    dx, dw, _ = torch.autograd.grad(want, leaves, outer)

    grid, out = shuffled(size, seed), shuffled(tuple(want.shape[2:]), seed + 1)
    tiles = Tiles.of(grid, out, [padding] * len(size))
    with torch.no_grad():
        weight = Filter.of(w, taps_first=True)
        spread = tiles.spread(Image.of(x, grid))
        assert close(tiles.convolve(spread, weight, b).plain(), want)
        shift = b.reshape(-1, *[1] * len(size))
        assert close(tiles.convolve(spread, weight, None).plain() + shift, want)
        products = tiles.products_gradient(Image.of(outer, out))
        assert close(tiles.weight_gradient(products, spread, w.shape).plain(), dw)
        assert close(tiles.input_gradient(products, weight, grid).plain(), dx)


def test_pixels_that_are_not_kept_are_not_computed() -> None:
    """Of 5x5 pixels a pool by 2 reads 4x4: four tiles, and nothing to put in order behind them."""
    image, kept = Grid.natural((5, 5)), [5 * i + j for i in range(4) for j in range(4)]
    sorted_for_pool = sorted(kept, key=lambda p: (p // 5 % 2, p % 5 % 2, p // 10, p % 5 // 2))
    tiles = Tiles.of(image, Grid((5, 5), tuple(sorted_for_pool)), [1, 1])
    assert tiles.count == 4
    assert tiles.places.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("shape", "size", "settings"),
    [
        ((64, 64, 5, 5), 14, {"padding": [2, 2]}),
        ((64, 64, 3, 3), 14, {"stride": [2, 2]}),
        ((64, 64, 3, 3), 14, {"dilation": [2, 2], "padding": [2, 2]}),
        ((64, 1, 3, 3), 28, {}),  # the transforms of the outputs cost more than they save
        ((32, 32, 3, 3), 6, {}),  # too small to be worth more nodes
    ],
)
def test_other_convolutions_stay_as_they_are(
    shape: tuple[int, ...], size: int, settings: dict[str, list[int]]
) -> None:
    how = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]} | settings
    out = (size - 1) // how["stride"][0] + 1
    grids = Grid.natural((size, size)), Grid.natural((out, out))
    assert tiles_if_faster(*grids, shape, *how.values()) is None
    same = Grid.natural((14, 14))
    assert tiles_if_faster(same, same, (64, 64, 3, 3), [1, 1], [1, 1], [1, 1]) is not None


def test_a_bundle_multiplies_less_and_computes_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(32, 32, 3, padding=1)
    model = nn.Sequential(nn.Conv2d(1, 32, 1), conv, nn.Flatten(), nn.Linear(32 * 196, 3))
    x, y = np.random.default_rng(0).normal(size=(3, 1, 14, 14)).astype(np.float32), np.arange(3)
    with_tiles, plain = (
        Runner(
            export_bundle(
                model,
                tmp_path / str(len(without)),
                x,
                inner_lr=0.01,
                inner_steps=2,
                example_y=y,
                form=GraphForm(without=without),
            )
        )
        for without in ((), ("tiles",))
    )
    assert with_tiles.manifest.flops_per_step < 0.8 * plain.manifest.flops_per_step
    left, right = (runner.adapt(x, y).state_dict() for runner in (with_tiles, plain))
    for name, value in left.items():
        assert np.allclose(value, right[name], atol=1e-5), name
