"""The recorded episode, and how far a runtime may be from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.numpy import load
from torch import Tensor, nn

from edgemeta import Runner
from edgemeta.bundle import LOGITS, LR_SCALE, STEPS, SUPPORT_Y
from edgemeta.errors import ParityError
from edgemeta.meta.inner import InnerLoop
from edgemeta.meta.losses import LOSSES
from edgemeta_export import export_bundle, selftest
from edgemeta_export.selftest import ATOL, MARGIN, RTOL, Episode, record, record_episode, replay

X = torch.linspace(-1, 1, 16).reshape(4, 4)
Y = torch.tensor([0, 1, 2, 0])


class Steep(nn.Module):
    """Magnifies rounding: its logits are the difference of two large numbers."""

    def __init__(self, by: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.by = by
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) -> (N, 3)."""
        z: Tensor = self.layer(x)
        return z * self.by - z.detach() * (self.by - 1)


def loop(by: float) -> InnerLoop:
    return InnerLoop(Steep(by), LOSSES["classification"])


def test_a_calm_model_gets_the_plain_tolerance() -> None:
    recorded = record(loop(1), "classification", X, Y, steps=2, lr=0.1)
    assert (recorded.atol, recorded.rtol) == (ATOL, RTOL)
    assert load(recorded.content)[SUPPORT_Y].tolist() == Y.tolist()


def test_the_episode_is_the_one_that_pytorch_repeats_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spreads = iter([9.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr(selftest, "_spread", lambda *_: next(spreads))
    recorded = record(loop(1), "classification", X, Y, steps=2, lr=0.1)
    assert (recorded.atol, recorded.rtol) == (MARGIN * 3 * ATOL, MARGIN * 3 * RTOL)
    content = load(recorded.content)
    assert len(content[SUPPORT_Y]) == 2
    assert content[STEPS] == 2


def test_a_model_that_magnifies_rounding_widens_the_tolerance(tmp_path: Path) -> None:
    path = export_bundle(Steep(1000), tmp_path / "b", X.numpy(), inner_lr=0.1, inner_steps=5)
    parity = Runner(path).manifest.parity
    assert RTOL < parity["rtol"] <= selftest.MOST * RTOL
    assert parity["atol"] / ATOL == pytest.approx(parity["rtol"] / RTOL)


@pytest.mark.parametrize("by", [1e5, float("nan")])
def test_what_pytorch_cannot_repeat_is_refused(by: float) -> None:
    with pytest.raises(ParityError, match="PyTorch does not reproduce it within rounding"):
        record(loop(by), "classification", X, Y, steps=2, lr=0.1)


def test_an_episode_is_recorded_as_it_is_or_not_at_all() -> None:
    episode = Episode(X, Y, X[1:3], steps=3, lr_scale=0.5)
    content = record_episode(loop(1), "classification", episode, lr=0.1)
    assert content is not None
    found = load(content)
    assert found[SUPPORT_Y].tolist() == Y.tolist()
    assert (found[STEPS].item(), found[LR_SCALE].item()) == (3, 0.5)
    want = replay(loop(1), loop(1).init(), X, Y, 3, query_x=X[1:3], lr=0.05)
    assert found[LOGITS].tolist() == want.output.tolist()
    rates = {name: torch.full((1,), 0.1) for name in loop(1).init().params}
    assert record_episode(loop(1), "classification", episode, lr=rates) == content
    assert record_episode(loop(1000), "classification", episode, lr=0.1) is None
