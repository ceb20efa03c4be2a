"""How far onnxruntime is from PyTorch, over models, sizes of the support set and numbers of steps.

python -m benchmarks.parity_sweep [EPISODES]

For each setting it prints the relative difference of the update, ||onnxruntime - PyTorch|| over
||adapted - init||, as median and worst of some episodes, and the share of episodes that exceed a
bundle's tolerance. What exceeds it are kinks: an activation within rounding of ReLU's or
max-pooling's corner, where two correct runtimes take different sides.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.cases import CASES, Compiled, compile_case
from tests.tolerance import excess


def main(episodes: int) -> None:
    """Print one line per setting."""
    torch.set_num_threads(1)
    print(f"{'model':<26} samples steps   median    worst  over tolerance")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made = compile_case(case, Path(folder) / case.name)
            for samples in (1, 5, 12, 25):
                for steps in (1, 5, 10):
                    report(made, samples, steps, episodes)


def report(made: Compiled, samples: int, steps: int, episodes: int) -> None:
    """Print the line of one setting."""
    relative, over = [], 0
    init = made.loop.init().params
    for seed in range(episodes):
        x, y = made.case.samples(samples, 100 + seed)
        state = made.runner.adapt(x, y, steps=steps, guard=False).state_dict()
        params = made.adapt_in_torch(x, y, steps).params
        want = {name: tensor.detach().numpy() for name, tensor in params.items()}
        got = {name: state[name] for name in want}
        apart = moved = 0.0
        for name, value in want.items():
            apart += float(((got[name] - value).astype(np.float64) ** 2).sum())
            moved += float(((value - init[name].detach().numpy()) ** 2).sum())
        relative.append((apart / moved) ** 0.5)
        over += excess(got, want) > 1
    print(
        f"{made.case.name:<26} {samples:>7} {steps:>5} {np.median(relative):>8.1e} "
        f"{max(relative):>8.1e} {over:>5} of {episodes}",
        flush=True,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
