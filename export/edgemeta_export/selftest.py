"""The recorded episode that `edgemeta verify` replays on any runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from safetensors.numpy import save
from torch import Tensor

from edgemeta import bundle
from edgemeta.errors import ParityError
from edgemeta.meta.inner import InnerLoop, State
from edgemeta.meta.updates import Rates

# What a runtime may differ from PyTorch in one tensor: ATOL + RTOL * its largest value. float32
# rounds at 1.2e-7, a step sums up to 10^4 products in another order, and the steps hand errors on.
# Over conv4 and mlp, 1 to 10 steps, 1 to 25 samples, 1001 of 1008 episodes stay within it, and the
# rest have kinks (benchmarks/parity_sweep.py).
ATOL = 2e-6
RTOL = 2e-5

# Deep networks with batch statistics magnify rounding: there, a runtime may differ by this many
# times what PyTorch differs from itself, three draws of a jitter being a short look at it.
MARGIN = 2
MOST = 50  # times the tolerance: 1e-3, still far from what a wrong gradient does

JITTER = 1e-6  # ten times float32's rounding
JITTERED_RUNS = 3


class Replay(NamedTuple):
    """What adapting and predicting gives.

    Attributes:
        state: the adapted state.
        losses: (steps + 1,).
        output: (Q, ways) or (Q, *target_shape).
    """

    state: State
    losses: Tensor
    output: Tensor


class _Episode(NamedTuple):
    x: Tensor
    y: Tensor
    steps: int


@dataclass(frozen=True)
class Selftest:
    """A recorded episode.

    Attributes:
        content: of `selftest.safetensors`.
        atol, rtol: what a runtime may differ in a tensor: atol + rtol * its largest value.
    """

    content: bytes
    atol: float
    rtol: float


def record(loop: InnerLoop, task: str, x: Tensor, y: Tensor, *, steps: int, lr: Rates) -> Selftest:
    """Adapt with PyTorch and write down everything that a runtime has to reproduce.

    ReLU and max-pooling have kinks. Where an activation lies within rounding of one, two correct
    runtimes take different sides, and their gradients part. So the episode is one on which PyTorch
    agrees with itself when the init is jittered: all of `x` if possible, else fewer samples. Where
    there is none, it is the one with the best agreement, and the tolerance grows with it.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        x: (S, *input_shape) support samples; all of them are queries too.
        y: (S,) labels or (S, *target_shape) targets.
        steps: inner steps.
        lr: inner learning rate, or rates.

    Raises:
        ParityError: PyTorch differs too much from itself for a runtime to be checked against it.
    """
    # The largest label says how many classes a shared head has: a short episode needs it too.
    first = y.argsort(descending=True, stable=True) if loop.per_class else slice(None)
    least, best = math.inf, None
    for candidate in _candidates(x[first], y[first], steps):
        replayed = replay(loop, loop.init(), *candidate, query_x=x, lr=lr)
        spread = _spread(loop, candidate, x, lr, replayed, least)
        if best is None or spread < least:
            least, best = spread, (candidate, replayed)
        if spread <= 1:
            break
    assert best is not None  # noqa: S101  # there is always a candidate
    episode, found = best
    slack = 1.0 if least <= 1 else MARGIN * least
    if slack > MOST:
        raise ParityError(
            "this adaptation cannot be checked: PyTorch does not reproduce it within rounding",
            got=f"{least * RTOL:.1g} after a jitter of {JITTER:.1g}",
            expected=f"at most {MOST / MARGIN * RTOL:.1g}",
            hint="lower inner_lr, or pass samples as the model was trained on",
        )
    tensors = {
        bundle.SUPPORT_X: episode.x,
        bundle.SUPPORT_Y: episode.y,
        bundle.QUERY_X: x,
        # Tensors, not metadata, whose order safetensors draws at random: same model, same bytes.
        bundle.STEPS: torch.tensor(episode.steps),
        bundle.LR_SCALE: torch.tensor(1.0),
        bundle.LOSSES: found.losses,
        bundle.prediction_name(task): found.output,
    }
    tensors |= {bundle.next_name(n): t for n, t in _tensors(found.state).items()}
    content = save({name: t.contiguous().numpy() for name, t in tensors.items()})
    return Selftest(content, ATOL * slack, RTOL * slack)


def replay(
    loop: InnerLoop, init: State, x: Tensor, y: Tensor, steps: int, *, query_x: Tensor, lr: Rates
) -> Replay:
    """Adapt `init` and predict with PyTorch, noting the losses on the way."""
    state, losses = loop.grow_for(init, y), []
    for index in range(steps):
        state, loss = loop.step(state.as_leaves(), x, y, lr, index)
        losses.append(loss.detach())
    with torch.no_grad():
        state, loss = loop.finish(state, x, y)
        return Replay(state, torch.stack([*losses, loss]), loop.predict(state, query_x))


def _candidates(x: Tensor, y: Tensor, steps: int) -> Iterator[_Episode]:
    """Yield episodes with fewer and fewer kinks."""
    samples = len(x)
    while samples > 1:
        yield _Episode(x[:samples], y[:samples], steps)
        samples //= 2
    yield _Episode(x[:1], y[:1], steps)
    yield _Episode(x[:1], y[:1], 1)


def _spread(
    loop: InnerLoop, episode: _Episode, query_x: Tensor, lr: Rates, found: Replay, least: float
) -> float:
    """How far a jittered init leads from what was found, in units of a runtime's tolerance.

    Runs stop as soon as one leads further than `least`: another episode is better.
    """
    generator = torch.Generator().manual_seed(0)
    init = loop.init()
    want = _results(found)
    spread = 0.0
    for _ in range(JITTERED_RUNS):
        jittered = {
            name: p.detach() * (1 + JITTER * torch.randn(p.shape, generator=generator))
            for name, p in init.params.items()
        }
        moved = replay(loop, init._replace(params=jittered), *episode, query_x=query_x, lr=lr)
        for got, wanted in zip(_results(moved), want, strict=True):
            ratio = float((got - wanted).abs().max() / (ATOL + RTOL * wanted.abs().max()))
            spread = max(spread, ratio if math.isfinite(ratio) else math.inf)
        if spread >= least:
            break
    return spread


def _results(found: Replay) -> list[Tensor]:
    return [*_tensors(found.state).values(), found.losses, found.output]


def _tensors(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (state.params | state.buffers).items()}
