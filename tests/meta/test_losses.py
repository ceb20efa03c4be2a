"""The support losses: classes count alike, however many samples each of them has."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import grad, vmap

from edgemeta.meta.inner.losses import (
    balanced_cross_entropy,
    class_weights,
    shown_cross_entropy,
)

WAYS = 5
LABELS = st.lists(st.integers(0, WAYS - 1), min_size=1, max_size=12)


def logits(samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, WAYS, generator=generator, dtype=torch.float64)


@given(labels=LABELS)
def test_it_is_the_mean_over_classes_of_the_mean_over_their_samples(labels: list[int]) -> None:
    y, output = torch.tensor(labels), logits(len(labels))
    each = nn.functional.cross_entropy(output, y, reduction="none")
    want = torch.stack([each[y == label].mean() for label in set(labels)]).mean()
    torch.testing.assert_close(balanced_cross_entropy(output, y), want)


def test_among_equals_it_is_the_mean_over_samples() -> None:
    y, output = torch.arange(15) % WAYS, logits(15)
    torch.testing.assert_close(
        balanced_cross_entropy(output, y), nn.functional.cross_entropy(output, y)
    )


@given(labels=LABELS, cut=st.integers(0, 12))
def test_that_of_the_parts_adds_up(labels: list[int], cut: int) -> None:
    y, output = torch.tensor(labels), logits(len(labels))
    weights = class_weights(y, WAYS, torch.float64)
    parts = [
        balanced_cross_entropy(output[part], y[part], weights)
        for part in (slice(cut), slice(cut, None))
    ]
    torch.testing.assert_close(parts[0] + parts[1], balanced_cross_entropy(output, y))


def test_classes_without_samples_weigh_nothing() -> None:
    weights = class_weights(torch.tensor([0, 0, 0, 3]), WAYS)
    torch.testing.assert_close(weights, torch.tensor([1 / 6, 0, 0, 1 / 2, 0]))


@pytest.mark.parametrize("derived", [0, 1, 2])
def test_many_tasks_at_once_are_as_one_by_one(derived: int) -> None:
    """Its gradients, too, of first and of second order."""
    output = torch.stack([logits(8, seed) for seed in range(3)])
    y = torch.tensor([[0, 0, 0, 0, 0, 1, 2, 3], [4, 4, 1, 1, 1, 1, 1, 1], [0, 1, 2, 3, 4, 4, 4, 4]])

    def squared(output: Tensor, y: Tensor) -> Tensor:
        gradient: Tensor = grad(balanced_cross_entropy)(output, y)
        return (gradient**2).sum()

    function = [balanced_cross_entropy, grad(balanced_cross_entropy), grad(squared)][derived]
    one_by_one = torch.stack([function(*task) for task in zip(output, y, strict=True)])
    torch.testing.assert_close(vmap(function)(output, y), one_by_one)


@given(labels=LABELS, cut=st.integers(0, 12))
def test_classes_that_are_not_shown_take_no_part(labels: list[int], cut: int) -> None:
    y, output = torch.tensor(labels), logits(len(labels))
    shown = sorted(set(labels))
    places = torch.tensor([shown.index(label) for label in labels])
    want = balanced_cross_entropy(output[:, shown], places)
    torch.testing.assert_close(shown_cross_entropy(output, y), want)
    gradient = grad(shown_cross_entropy)(output, y)
    assert all(
        gradient[:, k].eq(0).all() == (k not in shown) or len(shown) == 1 for k in range(WAYS)
    )
    weights = class_weights(y, WAYS, torch.float64)  # slices know what the whole shows
    parts = [
        shown_cross_entropy(output[part], y[part], weights)
        for part in (slice(cut), slice(cut, None))
        if len(y[part])
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), want)


def test_where_all_classes_are_shown_both_losses_are_the_same() -> None:
    y, output = torch.arange(15) % WAYS, logits(15)
    assert torch.equal(shown_cross_entropy(output, y), balanced_cross_entropy(output, y))
    assert not torch.allclose(
        shown_cross_entropy(output[:3], y[:3]), balanced_cross_entropy(output[:3], y[:3])
    )
