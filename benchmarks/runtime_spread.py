"""How far onnxruntime is from a bundle's recorded episode, and from itself in other settings.

python -m benchmarks.runtime_spread [NAME ...]

Ten models of the tests' zoo, in every setting of a session that changes the order of its sums: one
and two threads, graph optimizations on and off. In units of the tolerance that a bundle has without
any slack (ATOL + RTOL * the largest value), as the largest of all tensors, losses and predictions:

| column | |
|---|---|
| float64, jitter | what the selftest measures of PyTorch alone, and multiplies by MARGIN |
| from PyTorch | the farthest of the settings from the recorded episode |
| apart | the farthest of any two settings from each other |
| ratio | "from PyTorch" over the larger of the first two |

MARGIN has to cover the ratio, where what is multiplied by it comes above 1.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import torch
from onnxruntime import GraphOptimizationLevel, SessionOptions

from edgemeta import Runner
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta_export import export_bundle, recorded_episode
from edgemeta_export.replay import Episode, replayed
from tests.tolerance import Tensors, excess, numpy_state
from tests.zoo import ROWS, Row

NAMES = (
    "Conv2d",
    "BatchNorm2d",
    "GroupNorm",
    "LayerNorm",
    "GRU",
    "LSTM",
    "MultiheadAttention",
    "ResNet-12 block",
    "Conv4 blocks with batch norm",
    "MobileNetV2 block",
)
SAMPLES, STEPS, INNER_LR = 6, 5, 0.1
SETTINGS = tuple(itertools.product((1, 2), (True, False)))  # threads, optimizations


def main(names: list[str]) -> None:
    """Print one line per model."""
    torch.set_num_threads(1)
    print(
        f"{'model':<32} {'float64':>8} {'jitter':>8} {'from PyTorch':>13} {'apart':>8} {'ratio':>6}"
    )
    for row in ROWS:
        if row.name in (names or NAMES):
            report(row)


def report(row: Row) -> None:
    """Print the line of one model."""
    x, y = row.samples(SAMPLES, seed=0)
    loop = InnerLoop(row.model(), row.loss or LOSSES[row.task])
    episode = Episode(torch.from_numpy(x), torch.from_numpy(y), None, STEPS)
    recorded = replayed(loop, loop.init(), episode, INNER_LR)
    exact = recorded_episode._from_float64(loop, episode, INNER_LR, recorded)
    jitter = recorded_episode._jittered(
        loop, episode, INNER_LR, recorded, recorded_episode.ROUNDING, np.inf
    )
    want = numpy_state(recorded.state)
    want |= {"losses": recorded.losses.numpy(), "output": recorded.output.numpy()}
    with tempfile.TemporaryDirectory() as folder:
        path = export_bundle(
            row.model(),
            Path(folder) / "bundle",
            x,
            task=row.task,
            inner_lr=INNER_LR,
            inner_steps=STEPS,
            loss=row.loss,
            example_y=y,
        )
        found = [adapted(path, row, *setting) for setting in SETTINGS]
    farthest = max(excess(got, want) for got in found)
    apart = max(excess(one, other) for one, other in itertools.combinations(found, 2))
    ratio = farthest / max(exact, jitter)
    figures = f"{exact:>8.4f} {jitter:>8.4f} {farthest:>13.4f} {apart:>8.4f} {ratio:>6.1f}"
    print(f"{row.name:<32} {figures}", flush=True)


def adapted(path: Path, row: Row, threads: int, optimized: bool) -> Tensors:
    """Return the state, the losses and the predictions of one setting."""

    def changed(*arguments: object, **options: object) -> onnxruntime.InferenceSession:
        given = next(a for a in (*arguments, *options.values()) if isinstance(a, SessionOptions))
        given.intra_op_num_threads = threads
        if not optimized:
            given.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
        opened.append(given)
        return plain(*arguments, **options)

    plain, opened = onnxruntime.InferenceSession, list[SessionOptions]()
    x, y = row.samples(SAMPLES, seed=0)
    with mock.patch.object(onnxruntime, "InferenceSession", changed):
        learner = Runner(path, threads=threads).adapt(x, y, steps=STEPS, guard=False)
        found = learner.state_dict()
        found |= {"losses": learner.losses, "output": learner.predict_logits(x)}
    if not opened:
        raise SystemExit("the settings did not reach onnxruntime")
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
