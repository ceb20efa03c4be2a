"""How long a neck takes to meta-train on cached features, and what the cache saves.

    python -m benchmarks.feature_cache

5,000 samples of 96 features (as the speech embedding makes them), a 96x96 matrix in front of a
normalised shared head, a few hundred outer steps, validation and test included. The body in front
is made up: it takes a few milliseconds a sample, as real ones do. Then an evaluation of the run, on
raw samples and on the features that are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import edgemeta
from edgemeta.measure.evaluate import evaluate
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.neck import MatrixNeck
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource, from_arrays
from edgemeta.util.cores import usable_cores

SAMPLES, FEATURES, CLASSES = 5000, 96, 40
GOAL = 20.0  # seconds, after the features
CHOICES: dict[str, Any] = {
    "adapt": ("2.*",),
    "trained": ("1.*",),
    "ways": 5,
    "shots": 1,
    "inner_lr": 1.0,
    "iterations": 400,
    "validate_every": 50,
    "patience": 5,
    "validation_episodes": 100,
    "test_episodes": 600,
}
EPISODES = 600  # of the evaluation


class Body(nn.Module):
    """A frozen random network: (N, 96) to (N, 96), some ms a sample."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Sequential(nn.Linear(FEATURES, 4096), nn.ReLU(), nn.Linear(4096, FEATURES))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (N, 96) to features (N, 96)."""
        features: Tensor = self.wide(x)
        return features


def main() -> None:
    """Print the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=usable_cores())
    arguments = parser.parse_args()
    body = Body()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGEMETA_CACHE"] = f"{folder}/cache"
        seconds, processor = [], []
        for name in ("first", "again"):
            model = nn.Sequential(body, MatrixNeck(FEATURES), SharedHead(FEATURES)).eval()
            start, used = time.perf_counter(), time.process_time()
            run = edgemeta.meta_train(
                model, source(), out=f"{folder}/{name}", threads=arguments.threads, **CHOICES
            )
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
        result = run.result() or {}
        raw, features = evaluation(run)
        size = sum(path.stat().st_size for path in Path(folder, "cache").iterdir())
    print(
        json.dumps(
            {
                "samples": SAMPLES,
                "outer_steps": result["iterations"],
                "threads": arguments.threads,
                "seconds_with_features": round(seconds[0], 2),
                "seconds_after_features": round(seconds[1], 2),
                "processor_seconds_after_features": round(processor[1], 2),
                "evaluation_seconds_on_raw_samples": round(raw, 2),
                "evaluation_seconds_on_features": round(features, 2),
                "goal_seconds": GOAL,
                "met": seconds[1] < GOAL,
                "cache_megabytes": round(size / 1e6, 1),
                "accuracy": round(result["mean"], 4),
            }
        )
    )


def evaluation(run: Run) -> tuple[float, float]:
    """Return the seconds of as many episodes on raw samples, and on the features that are kept."""
    seconds = []
    for cached in (False, True):
        adapter, shown, size = run_adapter(run), source(), EpisodeSize(5, 1, 15)
        start = time.perf_counter()
        if cached:
            adapter, shown = adapter.on_features(shown, size, EPISODES)
        evaluate(adapter, shown, size, episodes=EPISODES, seed=0)
        seconds.append(time.perf_counter() - start)
    return seconds[0], seconds[1]


def source() -> TaskSource:
    """Return noisy points around the means of classes, in a few of whose directions noise is."""
    rng = np.random.default_rng(0)
    y = np.arange(SAMPLES) % CLASSES
    x = rng.normal(size=(CLASSES, FEATURES))[y] + 2 * rng.normal(size=(SAMPLES, FEATURES))
    return from_arrays(x.astype(np.float32), y)


if __name__ == "__main__":
    main()
