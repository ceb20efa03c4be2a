"""A model cut behind what no trained tensor reaches computes what it did, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.meta.inner.loop import InnerLoop, matching
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.norms import with_support_norms
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.models.split import split_frozen

SPEC = TensorSpec((16, 16), "float32")
# float32, other kernels for another number of samples.
RTOL, ATOL = 1e-5, 1e-6


class Residual(nn.Module):
    """A branch that is frozen beside one that is trained; the sizes come from the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.down = nn.Conv2d(4, 8, 1, stride=4)
        self.conv = nn.Conv2d(4, 8, 4, stride=4)
        self.head = SharedHead(8 * 16)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        h = self.stem(x.view(x.shape[0], 1, 16, 16)).relu()
        h = self.down(h) + self.conv(h)
        if scale is not None:
            h = h * scale
        logits: Tensor = self.head(h.view(x.size(0), -1))
        return logits


class Branching(nn.Module):
    """What cannot be traced; as a part of a model it is not told apart."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return x
        out: Tensor = self.outside(self.inside(x))
        return out


class Coupled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(256, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x.flatten(1))
        out: Tensor = self.head(h - h.mean(0))
        return out


def conv4(**options: object) -> nn.Module:
    return build_model("conv4", SPEC, ways=5, width=4, **options)  # type: ignore[arg-type]


def untraceable() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), Branching(), nn.Linear(8, 5))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...], tuple[int, ...]]] = {
    "head": (conv4, ("head.*",), (4,)),
    "shared head": (lambda: conv4(head="shared"), ("blocks.3.*", "head.*"), (4, 2, 2)),
    "last block": (conv4, ("blocks.3.*", "head.*"), (4, 2, 2)),
    "support norms": (lambda: conv4(norm="support"), ("head.*",), (4, 16, 16)),
    "eval batch norm": (lambda: conv4(norm="support").eval(), ("head.*",), (4,)),
    "one branch": (lambda: Residual().eval(), ("conv.*", "head.*"), (4, 16, 16)),
    "behind both branches": (lambda: Residual().eval(), ("head.*",), (128,)),
    "untraceable inside": (untraceable, ("2.outside.*", "3.*"), (8,)),
    "coupled behind": (Coupled, ("head.*",), (8,)),
}


@pytest.mark.parametrize("name", CASES)
def test_both_parts_compute_what_the_model_does(name: str) -> None:
    make, patterns, shape = CASES[name]
    torch.manual_seed(0)
    model = make()
    if name == "eval batch norm":
        for buffer in model.buffers():
            if buffer.is_floating_point() and buffer.ndim:
                buffer.uniform_(0.5, 1.5)
    model = with_support_norms(model).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    own = dict(model.named_parameters())
    trained = matching(own, patterns)
    x, y = torch.rand(10, 16, 16), torch.arange(5).repeat(2)
    split = split_frozen(model, trained, x)
    assert split is not None
    features = split.front(x)
    assert features.shape[1:] == shape
    assert all(own[name] is tensor for name, tensor in split.rest.named_parameters())
    assert set(trained) <= dict(split.rest.named_parameters()).keys()

    found = []
    for part, samples in ((model, x), (split.rest, features)):
        loop = InnerLoop(part, LOSSES["classification"], trained)
        state = loop.adapt(loop.init(), samples, y, steps=2, lr=0.1, order=2)
        loss = loop.loss(loop.predict(state, samples), y)
        found.append((loss, *torch.autograd.grad(loss, [own[name] for name in trained])))
    for whole, cut in zip(*found, strict=True):
        torch.testing.assert_close(cut, whole, rtol=RTOL, atol=ATOL)
    if name != "behind both branches":  # whose trained tensors are a shared row, without gradient
        assert any(float(grad.abs().max()) > 1e-4 for grad in found[0][1:])


def test_what_cannot_be_cut_is_not() -> None:
    x = torch.rand(6, 8)
    branching = Branching()
    assert split_frozen(branching.eval(), ["outside.weight", "outside.bias"], x) is None
    everything = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)).eval()
    assert split_frozen(everything, dict(everything.named_parameters()), x) is None


def test_samples_that_see_each_other_stay_in_the_rest() -> None:
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(0)

    model = nn.Sequential(nn.Linear(8, 8), Centred(), nn.Linear(8, 8), nn.Linear(8, 2)).eval()
    split = split_frozen(model, ["3.weight", "3.bias"], torch.rand(6, 8))
    assert split is not None
    assert "2.weight" in dict(split.rest.named_parameters())
