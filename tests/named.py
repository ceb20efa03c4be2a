"""A bundle whose classes have names: what a drawing shows means the same for everybody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from edgemeta import Runner
from edgemeta.bundle.state import read_state, write_state
from edgemeta_export import export_bundle

NAMES = ("bar", "box", "cross", "slope", "tee")
STEPS = 3


def drawings(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return (n, 28, 28) noisy drawings, `count` of each class, and their labels (n,)."""
    rng = np.random.default_rng(seed)
    shapes = np.zeros((len(NAMES), 28, 28))
    shapes[0, 6:22, 13:15] = 255
    shapes[1, 6:22, 6:22] = 255
    shapes[1, 8:20, 8:20] = 0
    shapes[2, 6:22, 13:15] = shapes[2, 13:15, 6:22] = 255
    shapes[3, range(6, 22), range(6, 22)] = shapes[3, range(6, 22), range(7, 23)] = 255
    shapes[4, 6:22, 13:15] = shapes[4, 6:8, 6:22] = 255
    y = np.repeat(np.arange(len(NAMES)), count)
    moved = [np.roll(shapes[k], tuple(rng.integers(-2, 3, 2)), (0, 1)) for k in y]
    x = np.stack(moved) + rng.normal(0, 20, (len(y), 28, 28))
    return x.clip(0, 255).astype(np.uint8), y


class Scaled(nn.Module):
    """Pixels as they are, to the range of numbers that layers like."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, 28, 28) to (N, 784)."""
        return x.flatten(1).float() / 255


def export_named(path: Path) -> Path:
    """Train a perceptron on the classes, and export it with their names."""
    torch.manual_seed(0)
    model = nn.Sequential(Scaled(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, len(NAMES)))
    x, y = drawings(40, seed=0)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    example, _ = drawings(1, seed=1)
    return export_bundle(
        model.eval(), path, example, labels=NAMES, inner_lr=0.02, inner_steps=STEPS
    )


def write_folders(folder: Path, names: tuple[str, ...], count: int, seed: int) -> Path:
    """Write drawings of some classes as a folder of pictures for each."""
    x, y = drawings(count, seed)
    for k, name in enumerate(NAMES):
        if name not in names:
            continue
        (folder / name).mkdir(parents=True)
        for number, drawing in enumerate(x[y == k]):
            Image.fromarray(drawing).save(folder / name / f"{number}.png")
    return folder


def renamed(runner: Runner, path: Path, names: Sequence[str]) -> None:
    """Change the names in a classifier's file to others, with a digest that is right."""
    state = read_state(path, runner.manifest, runner.fingerprint)
    notes = json.dumps(json.loads(state.notes or "") | {"labels": names})
    write_state(path, state.tensors, runner.fingerprint, state.ways, state.extra, notes, names)
