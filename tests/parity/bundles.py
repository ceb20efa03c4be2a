"""The bundles that all runtimes replay, and episodes that PyTorch recorded for them.

The networks have random weights: what they compute is to be compared, not to be good. Between them
they have uint8, float32, int64 and int16 samples, a shared head, a head of fixed size and a
regression, two ONNX files as a body, and a body in 8-bit integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta import bundle
from edgemeta.bundle import TensorSpec
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES, Task
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.neck import CenteredCosine
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta_export import export_bundle
from edgemeta_export.int8 import quantize_front
from edgemeta_export.replay import Episode
from tests.cases import seeded
from tests.onnx_files import FEATURES, convolution, loudest
from tests.parity.episodes import record_episode
from tests.zoo import WAYS, Head, Recurrent

INNER_STEPS = 5
EPISODES = 20
"""Recorded of each bundle, beside its selftest."""
DRAWS = 10
"""Episodes in a row with a kink, after which something is wrong: they are one in fifty."""
MOST_SAMPLES, MOST_STEPS, MOST_QUERIES, MOST_WAYS = 25, 10, 8, 7

GLYPH = TensorSpec((28, 28), "uint8")
CLIP = TensorSpec((128,), "int16")
PICTURE = TensorSpec((16, 16, 3), "uint8")
WINDOW = TensorSpec((25, 6), "float32")
TOKENS = TensorSpec((12,), "int64")
WORDS = 11
TARGETS = 2


class Sounds(nn.Module):
    """Waveforms through two ONNX files, the first of them sample by sample."""

    def __init__(self) -> None:
        super().__init__()
        self.level = OnnxModule(loudest(width=CLIP.shape[0]), per_sample=True)
        self.body = OnnxModule(convolution())
        self.head = nn.Linear(FEATURES, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        # (N, 128) -> (N, 2, 8, 8) -> (N, 8)
        made = self.body((self.level(x.float()) / 1000).reshape(-1, 2, 8, 8))
        logits: Tensor = self.head(made)
        return logits


@cache
def small_body() -> OnnxModule:
    """Return a convolutional body in 8-bit integers; quantizing takes a second."""
    with torch.random.fork_rng():  # what is made behind it draws the same, whether it is new or not
        return _quantized_body()


def _quantized_body() -> OnnxModule:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    x = np.random.default_rng(0).normal(size=(32, 3, 16, 16)).astype(np.float32)
    model = nn.Sequential(body.eval(), nn.Linear(32, WAYS))
    made = quantize_front(model, ["1.weight", "1.bias"], x)
    (graph,) = (module for module in made.modules() if isinstance(module, OnnxModule))
    return graph


class Quantized(nn.Module):
    """Pictures through a body in 8-bit integers, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.body = small_body()
        self.neck = CenteredCosine(32, scale=4.0)
        self.head = SharedHead(32)

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x.float() - 128) / 64
        logits: Tensor = self.head(self.neck(self.body(scaled.permute(0, 3, 1, 2))))
        return logits


@dataclass(frozen=True)
class Network:
    """A model to compile, and data for it.

    Attributes:
        name: of the bundle.
        make: builds the model.
        input: one sample.
        inner_lr: inner learning rate.
        task: "classification" or "regression".
        any_ways: whether the labels say how many classes there are.
    """

    name: str
    make: Callable[[], nn.Module]
    input: TensorSpec
    inner_lr: float
    task: Task = "classification"
    any_ways: bool = False

    def model(self) -> nn.Module:
        """Return the model, the same at each call."""
        return seeded(self.make)

    def loop(self) -> InnerLoop:
        """Return the inner loop on PyTorch."""
        return InnerLoop(self.model(), LOSSES[self.task])

    def x(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return (count, *shape) samples."""
        shape = (count, *self.input.shape)
        if self.input.dtype == "float32":
            return rng.normal(size=shape).astype(np.float32)
        low, high = {"uint8": (0, 256), "int16": (-3000, 3000)}.get(self.input.dtype, (0, WORDS))
        return rng.integers(low, high, shape).astype(self.input.dtype)

    def y(self, count: int, ways: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return (count,) labels, each of them at least once, or (count, TARGETS) targets."""
        if self.task == "regression":
            return rng.normal(size=(count, TARGETS)).astype(np.float32)
        return rng.permutation(np.arange(count) % ways)


NETWORKS = (
    Network(
        "conv",
        lambda: build_model(
            "conv4", GLYPH, ways=5, width=16, pool="max", head="shared", std=(255.0,)
        ),
        GLYPH,
        inner_lr=0.1,
        any_ways=True,
    ),
    Network("gru", lambda: Recurrent(nn.GRU(6, 32, batch_first=True)), WINDOW, inner_lr=0.1),
    Network(
        "attention",
        lambda: Head(
            12 * 16,
            nn.Embedding(WORDS, 16),
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu"),
            outputs=TARGETS,
        ),
        TOKENS,
        inner_lr=0.02,
        task="regression",
    ),
    Network("onnx", Sounds, CLIP, inner_lr=0.1),
    Network("int8", Quantized, PICTURE, inner_lr=0.1, any_ways=True),
)


@dataclass(frozen=True)
class Recorded:
    """A bundle and its episodes.

    Attributes:
        name: of its network.
        path: the bundle.
        episodes: files like `selftest.safetensors`; the first one is the bundle's own.
    """

    name: str
    path: Path
    episodes: tuple[Path, ...]


def recorded(network: Network, folder: Path, episodes: int = EPISODES) -> Recorded:
    """Compile a network and let PyTorch record episodes, in a directory of their own.

    Which episodes there are depends on PyTorch alone: one is left out where PyTorch, with a
    jittered init, differs from itself by more than the tolerance.
    """
    rng = np.random.default_rng(1)
    x, y = network.x(7, rng), network.y(7, 5 if network.any_ways else WAYS, rng)
    path = export_bundle(
        network.model(),
        folder / network.name,
        x,
        task=network.task,
        inner_lr=network.inner_lr,
        inner_steps=INNER_STEPS,
        example_y=y,
    )
    aside = folder / f"{network.name}-episodes"
    aside.mkdir()
    files = [path / bundle.SELFTEST]
    for index in range(episodes):
        files.append(aside / f"{index:02}.safetensors")
        files[-1].write_bytes(_calm_episode(network, index))
    return Recorded(network.name, path, tuple(files))


def _calm_episode(network: Network, index: int) -> bytes:
    """Return an episode without a kink."""
    loop = network.loop()
    for draw in range(DRAWS):
        rng = np.random.default_rng([index, draw])
        content = record_episode(loop, network.task, drawn(network, index, rng), network.inner_lr)
        if content is not None:
            return content
    raise AssertionError(f"{network.name}: PyTorch differs from itself on {DRAWS} episodes")


def drawn(network: Network, index: int, rng: np.random.Generator) -> Episode:
    """Draw an episode; the first ones are those at the edges of what a device may be asked."""
    ways = int(rng.integers(2, MOST_WAYS + 1)) if network.any_ways else WAYS
    samples = int(rng.integers(ways, MOST_SAMPLES + 1))
    queries = int(rng.integers(1, MOST_QUERIES + 1))
    steps = int(rng.integers(1, MOST_STEPS + 1))
    scale = float(rng.choice([0.5, 1, 1.5, 2]))
    if index == 0:
        ways, samples, queries, steps = 2, 2, 1, 0
    elif index == 1:
        ways = 2 if network.any_ways else WAYS
        samples, queries, steps = ways, 1, 1
    elif index == 2:
        samples, steps = MOST_SAMPLES, MOST_STEPS
    return Episode(
        torch.from_numpy(network.x(samples, rng)),
        torch.from_numpy(network.y(samples, ways, rng)),
        torch.from_numpy(network.x(queries, rng)),
        steps,
        scale,
    )
