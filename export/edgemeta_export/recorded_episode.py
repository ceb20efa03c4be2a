"""The recorded episode that `edgemeta verify` replays on any runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from safetensors.numpy import save
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from edgemeta import bundle
from edgemeta.errors import InputError, ParityError
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.updates import Rates
from edgemeta_export.recording import WHOLE, WHOLE_SHARE, kept
from edgemeta_export.replay import Episode, Replay, SplitLoop, replayed

# What a runtime may differ from PyTorch in one tensor: ATOL + RTOL * its largest value. float32
# rounds at 1.2e-7, a step sums up to 10^4 products in another order, and the steps hand errors on.
# Over conv4 and mlp, 1 to 10 steps, 1 to 25 samples, 1001 of 1008 episodes stay within it, and the
# rest have kinks (benchmarks/parity_sweep.py).
ATOL = 2e-6
RTOL = 2e-5

# Deep networks magnify rounding, by how much is measured: PyTorch in float32 is so far from PyTorch
# in float64, and from itself where each weight is moved by float32's rounding. A runtime rounds as
# well, so that the two are twice as far from each other; and it may sum in a cruder order. Of ten
# small models, with one and two threads, with and without graph optimizations, onnxruntime was at
# most 1.7 times as far from PyTorch as what is measured here, and the settings less than 0.01 of
# the tolerance apart (benchmarks/runtime_spread.py). Deep ones decide: of three that were looked
# at, tinynet_e was 2.5 times as far.
MARGIN = 4
MOST = 50  # times the tolerance: 1e-3, still far from what a wrong gradient does

# What one replay may cost: ResNet-12 on 84 x 84 pixels has two samples, two steps and 112 GFLOP, a
# second or two on two cores, and is replayed four to eight times.
WORK = 1.2e11  # floating-point operations
BACKWARD = 2  # times a forward pass

# Bytes that support samples, targets and queries may take in the file, however large the model is,
# and for each byte of its weights; a sample of each there must be.
ROOM, ROOM_SHARE = 8_000, 0.015

JITTER = 1e-6  # ten times float32's rounding: what PyTorch repeats under it has no kinks nearby
ROUNDING = 1.2e-7  # float32's own
JITTERED_RUNS = 3

# What a split model may be from the whole, in units of a runtime's tolerance: it runs the same
# layers one after the other, and is not used where it gives anything else.
SPLIT = 0.01

Loop = InnerLoop | SplitLoop


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


def record(
    loop: InnerLoop,
    task: str,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    lr: Rates,
    least: int = 1,
    weights: int = 0,
) -> Selftest:
    """Adapt with PyTorch and write down everything that a runtime has to reproduce.

    ReLU and max-pooling have kinks. Where an activation lies within rounding of one, two correct
    runtimes take different sides, and their gradients part. So the episode is one on which PyTorch
    agrees with itself when the weights are jittered: all of `x` if possible, else fewer samples.
    Where there is none, it is the one with the least rounding, and the tolerance grows with that.

    A large model, or large samples, begin with a smaller episode: see `WORK` and `ROOM`.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        x: (S, *input_shape) support samples; all of them are queries too.
        y: (S,) labels or (S, *target_shape) targets.
        steps: inner steps.
        lr: inner learning rate, or rates.
        least: samples that an adaptation needs.
        weights: bytes of the model's weights: the more, the more the file may hold.

    Raises:
        ParityError: PyTorch differs too much from itself for a runtime to be checked against it.
    """
    # The largest label says how many classes a shared head has: a short episode needs it too.
    first = y.argsort(descending=True, stable=True) if loop.per_class else slice(None)
    whole = _affordable(loop, Episode(x[first], y[first], x, steps), least, weights)
    lowest, best = math.inf, None
    for candidate in _candidates(whole):
        wanted = replayed(loop, loop.init(), candidate, lr)  # by the model as it is
        if best is None:
            repeats = _repeats(loop, candidate, lr, wanted)
        spread = _spread(repeats, candidate, lr, wanted, lowest)
        if best is None or spread < lowest:
            lowest, best = spread, (candidate, wanted)
        if MARGIN * spread <= 1:
            break
    assert best is not None  # noqa: S101  # there is always a candidate
    episode, found = best
    slack = max(1.0, MARGIN * lowest)
    if slack > MOST:
        raise ParityError(
            "this adaptation cannot be checked: PyTorch does not reproduce it within rounding",
            got=f"{lowest * RTOL:.1g} from float64 or after a jitter of {ROUNDING:.1g}",
            expected=f"at most {MOST / MARGIN * RTOL:.1g}",
            hint="lower inner_lr, or pass samples as the model was trained on",
        )
    return Selftest(_content(task, episode, found, weights), ATOL * slack, RTOL * slack)


def _affordable(loop: InnerLoop, whole: Episode, least: int, weights: int) -> Episode:
    """Return as much of an episode as its file has room for, and as PyTorch replays in a second.

    Where that is less than all, the support samples are the queries, too. Two samples and two steps
    are kept, whatever they take to compute: what goes from step to step is to be seen.
    """
    x, y, _, steps, _ = whole
    room = ROOM + ROOM_SHARE * weights
    samples, fits = len(x), 2 * x.nbytes + y.nbytes <= room
    if not fits:
        samples = min(samples, max(least, int(room / (x[0].nbytes + y[0].nbytes)), 1))
    init = loop.init()
    # The counter looks for gradient functions of whatever requires a gradient.
    params, frozen = (
        {n: t.detach() for n, t in each.items()} for each in (init.params, init.frozen)
    )
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        loop.predict(init._replace(params=params, frozen=frozen), x[:least])
    forward: float = counted.get_total_flops() / min(least, len(x))

    def work(queries: int) -> float:
        return forward * (samples * ((1 + BACKWARD) * steps + 1) + queries)

    if fits and work(len(x)) <= WORK:
        return whole
    while work(samples) > WORK and samples > max(least, 2):
        samples -= 1
    while work(samples) > WORK and steps > 2:
        steps -= 1
    # From first to last, so that samples that are sorted by class are not all of the same one.
    chosen = torch.linspace(0, len(x) - 1, samples).long()
    return whole._replace(x=x[chosen], y=y[chosen], query_x=None, steps=steps)


def _candidates(whole: Episode) -> Iterator[Episode]:
    """Yield episodes with fewer and fewer kinks."""
    samples = len(whole.x)
    while samples > 1:
        yield whole._replace(x=whole.x[:samples], y=whole.y[:samples])
        samples //= 2
    single = whole._replace(x=whole.x[:1], y=whole.y[:1])
    yield single
    yield single._replace(steps=1)


def _repeats(loop: InnerLoop, episode: Episode, lr: Rates, found: Replay) -> Loop:
    """Return a loop that repeats what was found, in less time if it can be split."""
    split = SplitLoop.of(loop, episode.x)
    if split is None or _apart(replayed(split, loop.init(), episode, lr), found) > SPLIT:
        return loop
    return split


def _spread(loop: Loop, episode: Episode, lr: Rates, found: Replay, least: float) -> float:
    """How far rounding leads PyTorch from what was found, in units of a runtime's tolerance.

    None at all is said of an episode that PyTorch repeats even when jittered by more than that.
    Runs stop as soon as one leads further than `least`: another episode is better.
    """
    if _jittered(loop, episode, lr, found, JITTER, 1.0) <= 1:
        return 0.0
    spread = _jittered(loop, episode, lr, found, ROUNDING, least)
    if spread >= least:  # float64 takes several times as long
        return spread
    return max(spread, _from_float64(loop, episode, lr, found))


def _jittered(
    loop: Loop, episode: Episode, lr: Rates, found: Replay, jitter: float, least: float
) -> float:
    """How far jittered weights, those that stay frozen too, lead from what was found."""
    generator = torch.Generator().manual_seed(0)
    init = loop.init()

    def moved(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        if not tensor.is_floating_point():
            return tensor
        noise = torch.randn(tensor.shape, generator=generator)
        return noise.mul_(jitter).add_(1).mul_(tensor)  # in place: weights may take half a GB

    spread = 0.0
    for _ in range(JITTERED_RUNS):
        params = {name: moved(tensor) for name, tensor in init.params.items()}
        frozen = {name: moved(tensor) for name, tensor in init.frozen.items()}
        start = init._replace(params=params, frozen=frozen)
        spread = max(spread, _apart(replayed(loop, start, episode, lr), found))
        if spread > least:
            break
    return spread


def _from_float64(loop: Loop, episode: Episode, lr: Rates, found: Replay) -> float:
    """How far what was found is from float64's; zero where the model computes in float32 alone."""

    def exact(tensor: Tensor) -> Tensor:
        tensor = tensor.detach()
        return tensor.double() if tensor.is_floating_point() else tensor

    def all_exact(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: exact(tensor) for name, tensor in tensors.items()}

    init = loop.init()
    start = init._replace(
        params=all_exact(init.params),
        buffers=all_exact(init.buffers),
        frozen=all_exact(init.frozen),
        moments=all_exact(init.moments),
    )
    query_x = None if episode.query_x is None else exact(episode.query_x)
    inputs = episode._replace(x=exact(episode.x), y=exact(episode.y), query_x=query_x)
    try:
        return _apart(found, replayed(loop, start, inputs, lr))
    except (RuntimeError, InputError):  # a cast to float32 in the model's code, an ONNX graph
        return 0.0


def _apart(got: Replay, wanted: Replay) -> float:
    """Return the largest difference in units of a runtime's tolerance; infinity for no number."""
    most = 0.0
    results = _results(got)
    for name, other in _results(wanted).items():
        one = results[name]
        ratio = float((one - other).abs().max() / (ATOL + RTOL * other.abs().max()))
        most = max(most, ratio if math.isfinite(ratio) else math.inf)
    return most


def _content(task: str, episode: Episode, found: Replay, weights: int | None = None) -> bytes:
    """Return `selftest.safetensors`; without the bytes of the weights, results are whole."""
    given = {
        bundle.SUPPORT_X: episode.x,
        bundle.SUPPORT_Y: episode.y,
        # Tensors, not metadata, whose order safetensors draws at random: same model, same bytes.
        bundle.STEPS: torch.tensor(episode.steps),
        bundle.LR_SCALE: torch.tensor(episode.lr_scale),
    }
    if episode.query_x is not None:
        given[bundle.QUERY_X] = episode.query_x
    prediction = bundle.prediction_name(task)
    results = {bundle.LOSSES: found.losses, prediction: found.output}
    results |= {bundle.next_name(n): t for n, t in _tensors(found.state).items()}
    arrays = {name: tensor.contiguous().numpy() for name, tensor in results.items()}
    always = {bundle.LOSSES, bundle.LOGITS}
    room = math.inf if weights is None else WHOLE + WHOLE_SHARE * weights
    return save(
        {name: tensor.contiguous().numpy() for name, tensor in given.items()}
        | kept(arrays, always, room)
    )


def _results(found: Replay) -> dict[str, Tensor]:
    given = {bundle.LOSSES: found.losses, bundle.LOGITS: found.output}
    return {bundle.next_name(n): t for n, t in _tensors(found.state).items()} | given


def _tensors(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in (state.params | state.buffers).items()}
