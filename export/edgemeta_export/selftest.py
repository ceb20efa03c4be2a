"""The recorded episode that `edgemeta verify` replays on any runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from safetensors.numpy import save
from torch import Tensor

from edgemeta import bundle
from edgemeta.meta.inner import InnerLoop, State
from edgemeta.meta.updates import Rates

# What a runtime may differ from PyTorch in one tensor: ATOL + RTOL * its largest value. float32
# rounds at 1.2e-7, a step sums up to 10^4 products in another order, and the steps hand errors on.
# Over conv4 and mlp, 1 to 10 steps, 1 to 25 samples, 1001 of 1008 episodes stay within it, and the
# rest have kinks (benchmarks/parity_sweep.py).
ATOL = 2e-6
RTOL = 2e-5

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


def record(loop: InnerLoop, task: str, x: Tensor, y: Tensor, *, steps: int, lr: Rates) -> bytes:
    """Adapt with PyTorch and write down everything that a runtime has to reproduce.

    ReLU and max-pooling have kinks. Where an activation lies within rounding of one, two correct
    runtimes take different sides, and their gradients part. So the episode is one on which PyTorch
    agrees with itself when the init is jittered: all of `x` if possible, else fewer samples.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        x: (S, *input_shape) support samples; all of them are queries too.
        y: (S,) labels or (S, *target_shape) targets.
        steps: inner steps.
        lr: inner learning rate, or rates.

    Returns:
        The content of `selftest.safetensors`.
    """
    # The largest label says how many classes a shared head has: a short episode needs it too.
    first = y.argsort(descending=True, stable=True) if loop.per_class else slice(None)
    for episode in _candidates(x[first], y[first], steps):
        found = replay(loop, loop.init(), *episode, query_x=x, lr=lr)
        if _is_stable(loop, episode, x, lr, found):
            break
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
    content: bytes = save({name: t.contiguous().numpy() for name, t in tensors.items()})
    return content


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


def _is_stable(
    loop: InnerLoop, episode: _Episode, query_x: Tensor, lr: Rates, found: Replay
) -> bool:
    """Whether a jittered init gives what was found, within the tolerance of a runtime."""
    generator = torch.Generator().manual_seed(0)
    init = loop.init()
    want = _results(found)
    for _ in range(JITTERED_RUNS):
        jittered = {
            name: p.detach() * (1 + JITTER * torch.randn(p.shape, generator=generator))
            for name, p in init.params.items()
        }
        moved = replay(loop, init._replace(params=jittered), *episode, query_x=query_x, lr=lr)
        for got, wanted in zip(_results(moved), want, strict=True):
            if not bool((got - wanted).abs().max() <= ATOL + RTOL * wanted.abs().max()):
                return False
    return True


def _results(found: Replay) -> list[Tensor]:
    return [*_tensors(found.state).values(), found.losses, found.output]


def _tensors(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (state.params | state.buffers).items()}
