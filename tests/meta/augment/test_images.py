"""Each change of an image is as large as its docstring says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgemeta.meta.augment import images
from edgemeta.meta.augment.draws import Draws, Scale

COUNT = 1000
WHOLE, FLOATS = (Scale(torch.zeros(1), torch.ones(1), whole) for whole in (True, False))


def draws() -> Draws:
    return Draws([0], torch.device("cpu"))


def pictures(height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(COUNT, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def corners(matrix: Tensor) -> Tensor:
    """Where the four corners of a changed image lie in the given one: (N, 4, 2)."""
    square = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    return (matrix[:, None] @ square[..., None])[:, :, :2, 0]


def test_a_crop_lies_inside_the_image() -> None:
    found = corners(images.crop(pictures(), draws()))
    assert found.abs().max() <= 1 + 1e-6  # float32
    side = (found[:, 3] - found[:, 0]) / 2  # (N, 2) width and height
    assert 0.6 <= side.min() < 0.7 * math.exp(-0.1)
    assert side.max() == 1
    assert side.prod(1).sqrt().mean() == pytest.approx(0.85, abs=0.02)
    middle = found.mean(1)
    assert middle.mean(0).abs().max() < 0.02


def test_a_move_is_a_tenth_of_the_side() -> None:
    found = corners(images.move(pictures(), draws()))
    middle, size = found.mean(1), (found[:, 3] - found[:, 0])[:, 0] / 2
    assert 0.19 < middle.abs().max() <= 0.2
    assert middle.abs().mean() == pytest.approx(0.1, rel=0.05)
    assert 0.9 <= size.min() < 0.91
    assert 1.09 < size.max() <= 1.1


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 60)])
def test_a_turn_keeps_distances_in_pixels(height: int, width: int) -> None:
    found = corners(images.turn(pictures(height, width), draws()))
    found = found * torch.tensor([width / 2, height / 2])  # from -1..1 to pixels
    diagonal = (found[:, 3] - found[:, 0]).norm(dim=1)
    torch.testing.assert_close(diagonal, torch.full((COUNT,), math.hypot(height, width)))
    top = found[:, 1] - found[:, 0]
    angle = torch.atan2(top[:, 1], top[:, 0]).rad2deg()
    assert 14.5 < angle.abs().max() <= 15
    assert angle.abs().mean() == pytest.approx(7.5, rel=0.05)


def test_a_mirror_exchanges_left_and_right_in_half_of_the_images() -> None:
    x = pictures(8, 8)
    mirrored = images.warp(x, images.mirror(x, draws()))
    kept = (mirrored - x).abs().amax((1, 2, 3)) < 0.01
    torch.testing.assert_close(mirrored[~kept], x[~kept].flip(3), atol=0.01, rtol=0)  # of 255
    assert 0.45 < kept.float().mean() < 0.55


def test_a_warp_is_that_of_pytorch() -> None:
    x = pictures(9, 13)
    matrix = torch.eye(3).repeat(COUNT, 1, 1)
    matrix[:, :2] += 0.3 * torch.randn(COUNT, 2, 3, generator=torch.Generator().manual_seed(0))
    grid = nn.functional.affine_grid(matrix[:, :2], list(x.shape), align_corners=False)
    expected = nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    # of 255: a place is rounded by 1e-6 of a side, over which neighbours differ by 255 at most
    torch.testing.assert_close(images.warp(x, matrix), expected, atol=0.01, rtol=0)


def test_nothing_moved_is_nothing_changed() -> None:
    x = pictures(9, 13)
    same = images.warp(x, torch.eye(3).expand(COUNT, 3, 3))
    torch.testing.assert_close(same, x, atol=0.01, rtol=0)  # of 255: float32 places


def test_a_warp_holds_the_edge() -> None:
    x = torch.full((1, 1, 8, 8), 7.0)
    away = torch.eye(3)[None].clone()
    away[:, 0, 2] = 1.5
    torch.testing.assert_close(images.warp(x, away), x)


def test_light_changes_brightness_and_contrast() -> None:
    x = pictures(8, 8)
    x[:, :, 0, 0], x[:, :, 0, 1] = 0, 255
    lit = images.light(x, draws(), WHOLE)
    brighter = (lit - x).mean((1, 2, 3)) / 255
    contrast = lit.std((1, 2, 3)) / x.std((1, 2, 3))
    assert 0.19 < brighter.abs().max() <= 0.2001  # float32
    assert brighter.abs().mean() == pytest.approx(0.1, rel=0.05)
    assert 0.7 - 1e-3 <= contrast.min() < 0.72
    assert 1.28 < contrast.max() <= 1.3 + 1e-3


def test_light_on_floats_stays_where_the_image_was() -> None:
    x = pictures(8, 8) / 255
    lit = images.light(x, draws(), FLOATS)
    axes = (1, 2, 3)
    assert (lit.amin(axes) >= x.amin(axes)).all()
    assert (lit.amax(axes) <= x.amax(axes)).all()


def test_cutout_hides_a_part_of_the_image() -> None:
    x = pictures(20, 40)
    cut = images.cutout(x, draws(), WHOLE)
    hidden = (cut != x).any(1)  # (N, H, W)
    mean = x.mean((2, 3), keepdim=True).expand_as(x)
    everywhere = hidden[:, None].expand_as(x)
    assert torch.equal(cut[everywhere], mean[everywhere])
    share = hidden.float().mean((1, 2))
    assert 0.1 < share.max() <= 0.35**2 * 1.2  # 1.2: whole pixels
    assert share.mean() == pytest.approx(0.35**2 / 3, rel=0.1)
    rows, columns = hidden.any(2), hidden.any(1)
    assert (hidden == rows[:, :, None] & columns[:, None]).all()  # a rectangle


@pytest.mark.parametrize("change", [images.crop, images.move, images.turn, images.mirror])
def test_matrices_are_homogeneous(change: Callable[[Tensor, Draws], Tensor]) -> None:
    matrix = change(pictures(4, 4), draws())
    assert matrix.shape == (COUNT, 3, 3)
    assert (matrix[:, 2] == torch.tensor([0.0, 0, 1])).all()
