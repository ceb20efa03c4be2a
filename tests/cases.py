"""Models that tests compile, and data for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgemeta import Runner
from edgemeta.bundle import TensorSpec
from edgemeta.meta.inner.loop import InnerLoop, State
from edgemeta.meta.inner.losses import LOSSES, Task
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.models.parts import Norm, Pool
from edgemeta_export import export_bundle

INNER_LR = 0.1
WAYS = 5
IMAGE = TensorSpec((28, 28), "uint8")


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """Make a model, the same at each call; a zero-initialised head gets weights too."""
    torch.manual_seed(0)
    model = make()
    for name, parameter in model.named_parameters():
        if name.startswith("head"):
            nn.init.normal_(parameter, std=0.1)
    return model


@dataclass(frozen=True)
class Case:
    """A model to compile, with random weights in every layer, and data for it."""

    name: str
    make: Callable[[], nn.Module]
    task: Task = "classification"
    input: TensorSpec = IMAGE

    def model(self) -> nn.Module:
        """Return the model, the same at each call."""
        return seeded(self.make)

    def samples(self, count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return `count` samples and their labels or targets."""
        rng = np.random.default_rng(seed)
        if self.task == "regression":
            inputs = rng.uniform(-5, 5, (count, *self.input.shape)).astype(np.float32)
            return inputs, np.sin(inputs)
        x = rng.integers(0, 256, (count, *self.input.shape), dtype=np.uint8)
        return x, rng.permutation(np.arange(count) % WAYS)


def _conv4(norm: Norm, pool: Pool) -> Callable[[], nn.Module]:
    return lambda: build_model(
        "conv4", IMAGE, ways=WAYS, width=8, norm=norm, pool=pool, std=(255.0,)
    )


CASES = [
    Case("conv4-group-max", _conv4("group", "max")),
    Case("conv4-group-stride", _conv4("group", "stride")),
    Case("conv4-support-max", _conv4("support", "max")),
    Case("conv4-transductive-stride", _conv4("transductive", "stride")),
    Case("conv4-none-max", _conv4("none", "max")),
    Case(
        "mlp-classes",
        lambda: build_model("mlp", IMAGE, ways=WAYS, hidden=(32, 32), std=(255.0,)),
    ),
    Case(
        "mlp-shared",
        lambda: build_model("mlp", IMAGE, ways=WAYS, hidden=(32, 32), head="shared", std=(255.0,)),
    ),
    Case(
        "mlp-sinusoid",
        lambda: build_model("mlp", TensorSpec((1,), "float32"), target_shape=(1,)),
        task="regression",
        input=TensorSpec((1,), "float32"),
    ),
]
CASE = {case.name: case for case in CASES}


@dataclass(frozen=True)
class Compiled:
    """A case, its bundle on onnxruntime, and the same inner loop on PyTorch."""

    case: Case
    runner: Runner
    loop: InnerLoop

    def adapt_in_torch(
        self, x: NDArray[Any], y: NDArray[Any], steps: int, lr: float = INNER_LR
    ) -> State:
        """Adapt the init with PyTorch."""
        state = self.loop.init().as_leaves()
        return self.loop.adapt(state, torch.from_numpy(x), torch.from_numpy(y), steps=steps, lr=lr)


Compile = Callable[[Case], Compiled]
"""What the fixture `compiled` is."""


def export_case(case: Case, path: Path) -> None:
    """Export a case to `path`."""
    x, y = case.samples(7, seed=1)
    export_bundle(
        case.model(), path, x, task=case.task, inner_lr=INNER_LR, inner_steps=5, example_y=y
    )


def load_case(case: Case, path: Path) -> Compiled:
    """Return a case with the bundle that `export_case` made of it."""
    return Compiled(case, Runner(path, threads=1), InnerLoop(case.model(), LOSSES[case.task]))


def compile_case(case: Case, path: Path) -> Compiled:
    """Export a case to `path` and load it."""
    export_case(case, path)
    return load_case(case, path)
