from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgemeta.meta.inner._kept_tensors import KeptTensors
from edgemeta.meta.inner.loop import InnerLoop


class Keeping(nn.Module):
    """Keeps what it computed in a dict, in an attribute that was None, and in a new one."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.3, -0.2]))
        self.scale = torch.tensor(2.0)
        self.cache: dict[str, Any] = {"name": "cpu"}
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if "bias" not in self.cache:
            self.cache["bias"] = self.bias * self.scale
        if self.last is None:
            self.last = self.bias.exp()
        if not hasattr(self, "fresh"):
            self.fresh = [self.bias.square()]
        kept: Tensor = self.cache["bias"]
        return x + kept + self.last + self.fresh[0]


def test_what_a_call_kept_is_dropped() -> None:
    layer = Keeping()
    model = nn.Sequential(layer)
    kept = KeptTensors(model)
    before = {name: value for name, value in vars(layer).items() if name != "cache"}
    for _ in range(2):
        model(torch.zeros(1, 2))
        assert len(layer.cache) == 2
        kept.drop()
        assert layer.cache == {"name": "cpu"}
        assert {name: value for name, value in vars(layer).items() if name != "cache"} == before


def test_tensors_of_before_stay() -> None:
    layer = Keeping()
    layer.cache["bias"] = torch.ones(2)
    kept = KeptTensors(layer)
    layer.scale = torch.tensor(3.0)
    kept.drop()
    assert layer.scale == 3
    assert list(layer.cache) == ["name", "bias"]


@pytest.mark.parametrize("order", [0, 2])
def test_each_step_computes_anew(order: Any) -> None:
    def loss(output: Tensor, y: Tensor) -> Tensor:
        return (output - y).square().mean()

    class Plain(Keeping):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.bias * self.scale + self.bias.exp() + self.bias.square()

    x, y = torch.tensor([[0.1, 0.2], [0.4, 0.3]]), torch.zeros(2, 2)
    got, want = (InnerLoop(model, loss) for model in (Keeping(), Plain()))
    state = got.adapt(got.init(), x, y, steps=3, lr=0.1, order=order)
    plain = want.adapt(want.init(), x, y, steps=3, lr=0.1, order=order)
    torch.testing.assert_close(state.params, plain.params)
    torch.testing.assert_close(got.predict(state, x), want.predict(plain, x))


def test_a_loss_reads_what_the_call_kept() -> None:
    model = Keeping()

    def loss(output: Tensor, y: Tensor) -> Tensor:
        assert model.last is not None
        return output.sum() + model.last.sum()

    loop = InnerLoop(model, loss)
    x, y = torch.zeros(1, 2), torch.zeros(1, 2)
    grads, _ = loop.gradient(loop.init().as_leaves(), x, y)
    bias = model.bias.detach()
    torch.testing.assert_close(grads["bias"], 2 + 2 * bias.exp() + 2 * bias)
