"""A head for any number of classes: rows, gradients, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.low_rank import LOW_RANK, add_low_rank
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.networks import build_model

CROSS_ENTROPY = LOSSES["classification"]
LR = 0.3


def small(adapt: Sequence[str] = ("*",)) -> InnerLoop:
    """Four features and a shared head in float64, with random weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), SharedHead(4)).double()
    for parameter in model[2].parameters():
        nn.init.normal_(parameter)
    return InnerLoop(model, CROSS_ENTROPY, adapt)


X = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def labels(*values: int) -> Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize("ways", [2, 3, 6])
def test_an_adaptation_starts_with_one_row_for_each_class(ways: int) -> None:
    loop = small()
    y = torch.arange(6) % ways
    state = loop.adapt(loop.init(), X, y, steps=0, lr=LR)
    own = loop.init().params
    assert loop.per_class == ["2.weight", "2.bias"]
    assert torch.equal(state.params["2.weight"], own["2.weight"].expand(ways, 4))
    assert torch.equal(state.params["2.bias"], own["2.bias"].expand(ways))
    assert loop.predict(state, X).shape == (6, ways)
    assert own["2.weight"].shape == (1, 4)


def test_a_new_class_leaves_the_others_as_they_are() -> None:
    loop = small()
    three = loop.adapt(loop.init(), X, labels(0, 1, 2, 0, 1, 2), steps=3, lr=LR)
    five = loop.adapt(three, X[:1], labels(4), steps=0, lr=LR)
    assert torch.equal(five.params["2.weight"][:3], three.params["2.weight"])
    assert torch.equal(five.params["2.weight"][3:], loop.init().params["2.weight"].expand(2, 4))
    again = loop.adapt(five, X[:1], labels(0), steps=0, lr=LR)
    assert torch.equal(again.params["2.weight"], five.params["2.weight"])


def test_the_gradient_of_the_shared_row_sums_over_the_classes() -> None:
    loop = small()
    x = X[:1]
    state = loop.grow(loop.init(), 3)
    factors = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    (loop.predict(state, x) * factors).sum().backward()  # type: ignore[no-untyped-call]
    features = torch.tanh(loop.model[0](x))  # type: ignore[index]
    head = loop.model[2]  # type: ignore[index]
    torch.testing.assert_close(head.weight.grad, factors.sum() * features)
    torch.testing.assert_close(head.bias.grad, factors.sum().reshape(1))


def test_meta_training_looks_through_the_rows() -> None:
    """The meta-gradient of the features by central differences; that of the shared row is zero."""
    loop = small()
    y = labels(0, 1, 2, 0, 1, 2)

    def meta_loss() -> Tensor:
        adapted = loop.adapt(loop.init(), X, y, steps=3, lr=LR, order=2)
        return CROSS_ENTROPY(loop.predict(adapted, X * 1.3), y)

    meta_loss().backward()  # type: ignore[no-untyped-call]
    weight, head = loop.model[0].weight, loop.model[2]  # type: ignore[index]
    found = weight.grad[1, 2].item()
    losses = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            weight[1, 2] += step
        losses.append(meta_loss().item())
    assert found == pytest.approx((losses[0] - losses[1]) / 2e-5, rel=1e-6)
    # What all classes share cancels in the softmax: float64's rounding is left.
    assert head.weight.grad.abs().max() < 1e-12 < 1e-4 < abs(found)


def test_a_frozen_shared_head_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"must adapt.*frozen: 2\.bias"):
        small(("*", "!2.bias"))


def test_a_low_rank_adapter_on_a_shared_head_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 4), SharedHead(4))
    with pytest.raises(UnsupportedModelError, match=r"cannot be parametrized.*got 1;"):
        InnerLoop(add_low_rank(model), CROSS_ENTROPY, LOW_RANK)


@pytest.mark.parametrize("name", ["mlp", "conv4"])
def test_the_models_take_it(name: str) -> None:
    model = build_model(name, TensorSpec((28, 28), "uint8"), ways=5, width=4, head="shared")
    assert isinstance(model.head, SharedHead)
    assert model(torch.zeros((2, 28, 28), dtype=torch.uint8)).shape == (2, 1)


def test_regression_has_no_shared_head() -> None:
    with pytest.raises(InputError, match="a shared head is for classification"):
        build_model("mlp", TensorSpec((1,), "float32"), target_shape=(1,), head="shared")
