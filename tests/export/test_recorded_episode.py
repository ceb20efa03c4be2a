"""The recorded episode, and how far a runtime may be from it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import Tensor, nn

from edgemeta import Runner
from edgemeta.bundle import LOGITS, LR_SCALE, QUERY_X, STEPS, SUPPORT_X, SUPPORT_Y, sample_names
from edgemeta.bundle.selftest import sampled
from edgemeta.errors import ParityError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta_export import export_bundle, recorded_episode
from edgemeta_export.recorded_episode import (
    ATOL,
    MARGIN,
    RTOL,
    record,
)
from edgemeta_export.recording import kept
from edgemeta_export.replay import Episode, replay
from tests.parity.episodes import record_episode

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
    monkeypatch.setattr(recorded_episode, "_spread", lambda *_: next(spreads))
    recorded = record(loop(1), "classification", X, Y, steps=2, lr=0.1)
    assert (recorded.atol, recorded.rtol) == (MARGIN * 3 * ATOL, MARGIN * 3 * RTOL)
    content = load(recorded.content)
    assert len(content[SUPPORT_Y]) == 2
    assert content[STEPS] == 2


def test_a_model_that_magnifies_rounding_widens_the_tolerance(tmp_path: Path) -> None:
    path = export_bundle(Steep(1000), tmp_path / "b", X.numpy(), inner_lr=0.1, inner_steps=5)
    parity = Runner(path).manifest.parity
    assert RTOL < parity["rtol"] <= recorded_episode.MOST * RTOL
    assert parity["atol"] / ATOL == pytest.approx(parity["rtol"] / RTOL)


@pytest.mark.parametrize("by", [1e5, float("nan")])
def test_what_pytorch_cannot_repeat_is_refused(by: float) -> None:
    with pytest.raises(ParityError, match="PyTorch does not reproduce it within rounding"):
        record(loop(by), "classification", X, Y, steps=2, lr=0.1)


class Deep(nn.Module):
    """Twelve layers that double each difference, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(*[nn.Linear(4, 4) for _ in range(12)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) -> (N, 3)."""
        for layer in self.body:
            x = torch.sin(3 * x + layer(x))
        z: Tensor = self.head(x)
        return z


def test_rounding_in_a_frozen_body_counts() -> None:
    made = InnerLoop(Deep(), LOSSES["classification"], ("head.*",))
    episode = Episode(X, Y, X, steps=2)
    found = replay(made, made.init(), X, Y, 2, query_x=X, lr=0.1)
    # Its weights jittered, PyTorch is far from itself; what it rounds is much less.
    assert recorded_episode._jittered(made, episode, 0.1, found, recorded_episode.JITTER, 1.0) > 10
    spread = recorded_episode._spread(made, episode, 0.1, found, float("inf"))
    assert 0.25 < spread < 10
    recorded = record(made, "classification", X, Y, steps=2, lr=0.1)
    assert RTOL < recorded.rtol <= MARGIN * spread * RTOL


def test_a_wrong_gradient_is_beyond_a_widened_tolerance() -> None:
    made = InnerLoop(Deep(), LOSSES["classification"], ("head.*",))
    recorded = record(made, "classification", X, Y, steps=2, lr=1.0)
    right = replay(made, made.init(), X, Y, 2, query_x=X, lr=1.0)
    wrong = replay(made, made.init(), X, Y, 2, query_x=X, lr=1.001)
    assert recorded_episode._apart(wrong, right) * RTOL > recorded.rtol > RTOL


class Casting(nn.Module):
    """Computes in float32 whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) -> (N, 3)."""
        z: Tensor = self.layer(x.float())
        return z


def test_a_model_that_cannot_run_in_float64_is_jittered_only() -> None:
    made = InnerLoop(Casting(), LOSSES["classification"])
    episode = Episode(X, Y, X, steps=2)
    found = replay(made, made.init(), X, Y, 2, query_x=X, lr=0.1)
    assert recorded_episode._from_float64(made, episode, 0.1, found) == 0
    assert (
        0
        < recorded_episode._jittered(made, episode, 0.1, found, recorded_episode.ROUNDING, 1.0)
        < 1
    )


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


def test_what_is_kept_of_large_results() -> None:
    rng = np.random.default_rng(1)
    small, large = (rng.normal(size=size).astype(np.float32) for size in ((10,), (7, 90)))
    large[3, 3] = -9
    assert kept({"a": small, "b": large}, (), math.inf).keys() == {"a", "b"}
    found = kept({"a": small, "b": large, "logits": large}, ("logits",), 100)
    assert found.keys() == {"a", *sample_names("b"), "logits"}
    recorded = sampled(found, "b", large.shape)
    assert recorded.values.tolist() == large.reshape(-1)[recorded.places].tolist()
    assert np.abs(recorded.values).max() == 9
    want = [
        np.sqrt(np.mean(part**2)) for part in (large.reshape(-1)[:512], large.reshape(-1)[512:])
    ]
    np.testing.assert_allclose(recorded.rms, want, rtol=1e-6)
    # The last block is a short one.
    found[sample_names("b")[1]][1] = 7 * 90
    with pytest.raises(ValueError, match="not one place in each block"):
        sampled(found, "b", large.shape)


def wide(inputs: int, hidden: int = 8) -> InnerLoop:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, 3))
    return InnerLoop(model, LOSSES["classification"])


@pytest.mark.parametrize(
    ("weights", "least", "samples"), [(0, 1, 1), (0, 3, 3), (10**6, 1, 2), (10**8, 1, 6)]
)
def test_large_samples_are_few_and_the_queries_too(weights: int, least: int, samples: int) -> None:
    x, y = torch.randn(6, 2400, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    recorded = record(
        wide(2400), "classification", x, y, steps=3, lr=0.01, least=least, weights=weights
    )
    found = load(recorded.content)
    assert len(found[SUPPORT_X]) == len(found[SUPPORT_Y]) == samples
    # The first and the last of all; as queries, all or those that are adapted to.
    assert found[SUPPORT_X][0].tolist() == x[0].tolist()
    if samples > 1:
        assert found[SUPPORT_X][-1].tolist() == x[-1].tolist()
    assert (QUERY_X in found) == (samples == len(x))
    assert len(found[LOGITS]) == samples
    assert found[STEPS] == 3


def test_what_is_much_to_compute_has_two_samples_and_two_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = torch.randn(6, 24, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    forward = 2 * (24 * 8 + 8 * 3)
    for work, samples, steps in (
        (1e9, 6, 5),
        (forward * 64, 3, 5),
        (forward * 20, 2, 2),
        (1, 2, 2),
    ):
        monkeypatch.setattr(recorded_episode, "WORK", work)
        found = load(record(wide(24), "classification", x, y, steps=5, lr=0.01).content)
        assert (len(found[SUPPORT_X]), int(found[STEPS])) == (samples, steps)
