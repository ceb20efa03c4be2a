"""Small models, one for each kind of layer that the compiler covers.

A row is a model, the shape of a sample, and what is learned. Every row is exported once and must
agree with PyTorch for one and five steps at two sizes of the support set; the table in
docs/support.md is written from these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta.meta.inner.losses import Loss, Task, balanced_cross_entropy

WAYS = 3


@dataclass(frozen=True)
class Row:
    """One model of the zoo.

    Attributes:
        name: of the row, also in the table.
        family: the heading that it stands under in the table.
        make: builds the model with random weights.
        shape: of one sample.
        tokens: for integer inputs, how many different ones; 0 for float32.
        task: "classification" (WAYS classes) or "regression".
        target: shape of a regression target.
        loss: None for the task's own.
        binary: whether targets are 0 or 1.
    """

    name: str
    family: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    tokens: int = 0
    task: Task = "classification"
    target: tuple[int, ...] = ()
    loss: Loss | None = None
    binary: bool = False

    def model(self) -> nn.Module:
        """Return the model, the same at each call."""
        torch.manual_seed(0)
        return self.make()

    def samples(self, count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return (count, *shape) samples and their labels or targets."""
        rng = np.random.default_rng(seed)
        if self.tokens:
            x = rng.integers(0, self.tokens, (count, *self.shape))
        else:
            x = rng.normal(size=(count, *self.shape)).astype(np.float32)
        if self.task == "classification":
            return x, rng.permutation(np.arange(count) % WAYS)
        y = rng.normal(size=(count, *self.target)).astype(np.float32)
        return x, (y > 0).astype(np.float32) if self.binary else y


ROWS: list[Row] = []


def row(
    family: str,
    name: str,
    shape: Sequence[int],
    make: Callable[[], nn.Module],
    **settings: Any,
) -> None:
    """Add a row."""
    ROWS.append(Row(name, family, make, tuple(shape), **settings))


class Head(nn.Module):
    """A body, flattened, and a linear layer on top."""

    def __init__(self, features: int, *body: nn.Module, outputs: int = WAYS) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(features, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, outputs)."""
        output: Tensor = self.head(self.body(x).flatten(1))
        return output


# --- linear and convolutional layers

row("layers", "MLP", (4,), lambda: Head(8, nn.Linear(4, 8), nn.ReLU()))
row("layers", "Bilinear", (4,), lambda: Head(5, _SelfBilinear()))
row("layers", "Conv1d", (2, 11), lambda: Head(33, nn.Conv1d(2, 3, 3, padding=1)))
row("layers", "Conv2d", (2, 6, 5), lambda: Head(36, nn.Conv2d(2, 3, 3, padding="valid")))
row("layers", "Conv3d", (1, 4, 5, 4), lambda: Head(2 * 2 * 3 * 2, nn.Conv3d(1, 2, 3)))
row("layers", "Conv2d strided", (2, 7, 6), lambda: Head(36, nn.Conv2d(2, 3, 3, 2, padding=1)))
row("layers", "Conv2d dilated", (2, 7, 7), lambda: Head(27, nn.Conv2d(2, 3, 3, dilation=2)))
row(
    "layers",
    "Conv2d same padding",
    (2, 5, 5),
    lambda: Head(75, nn.Conv2d(2, 3, 3, padding="same", dilation=2)),
)
row(
    "layers",
    "Conv2d circular padding",
    (2, 5, 5),
    lambda: Head(75, nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")),
)
row("layers", "Conv2d grouped", (4, 5, 5), lambda: Head(54, nn.Conv2d(4, 6, 3, groups=2)))
row(
    "layers",
    "Conv2d depthwise",
    (4, 5, 5),
    lambda: Head(100, nn.Conv2d(4, 4, 3, padding=1, groups=4)),
)
row("layers", "Conv2d 1x1", (4, 5, 5), lambda: Head(50, nn.Conv2d(4, 2, 1, bias=False)))
row("layers", "ConvTranspose1d", (2, 5), lambda: Head(33, nn.ConvTranspose1d(2, 3, 3, 2)))
row("layers", "ConvTranspose2d", (2, 4, 4), lambda: Head(192, nn.ConvTranspose2d(2, 3, 3, 2, 1, 1)))
row(
    "layers",
    "Conv2d twice",
    (1, 6, 6),
    lambda: Head(16, nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 4, 3)),
)

# --- pooling

row("pooling", "MaxPool1d", (2, 9), lambda: Head(8, nn.Conv1d(2, 2, 1), nn.MaxPool1d(3, 2)))
row("pooling", "MaxPool2d", (1, 6, 6), lambda: Head(18, nn.Conv2d(1, 2, 1), nn.MaxPool2d(2)))
row(
    "pooling",
    "MaxPool2d stride, padding, ceil_mode",
    (1, 6, 6),
    lambda: Head(32, nn.Conv2d(1, 2, 1), nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
)
row("pooling", "MaxPool3d", (1, 4, 4, 4), lambda: Head(16, nn.Conv3d(1, 2, 1), nn.MaxPool3d(2)))
row("pooling", "AvgPool1d", (2, 9), lambda: Head(8, nn.Conv1d(2, 2, 1), nn.AvgPool1d(3, 2)))
row("pooling", "AvgPool2d", (1, 6, 6), lambda: Head(18, nn.Conv2d(1, 2, 1), nn.AvgPool2d(2)))
row(
    "pooling",
    "AvgPool2d stride, padding, ceil_mode",
    (1, 6, 6),
    lambda: Head(32, nn.Conv2d(1, 2, 1), nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
)
row(
    "pooling",
    "AvgPool2d without the padding",
    (1, 6, 6),
    lambda: Head(18, nn.Conv2d(1, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
)
row("pooling", "AvgPool3d", (1, 4, 4, 4), lambda: Head(16, nn.Conv3d(1, 2, 1), nn.AvgPool3d(2)))
row(
    "pooling",
    "AdaptiveAvgPool1d",
    (2, 7),
    lambda: Head(6, nn.Conv1d(2, 2, 1), nn.AdaptiveAvgPool1d(3)),
)
row(
    "pooling",
    "AdaptiveAvgPool2d",
    (1, 7, 5),
    lambda: Head(12, nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d((3, 2))),
)
row(
    "pooling",
    "AdaptiveMaxPool2d",
    (1, 7, 5),
    lambda: Head(12, nn.Conv2d(1, 2, 1), nn.AdaptiveMaxPool2d((3, 2))),
)
row(
    "pooling",
    "global average",
    (1, 5, 5),
    lambda: Head(3, nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1)),
)
row(
    "pooling",
    "global maximum",
    (1, 5, 5),
    lambda: Head(3, nn.Conv2d(1, 3, 3), nn.AdaptiveMaxPool2d(1)),
)


class PooledChannelsLast(nn.Module):
    """Averages a whole signal, image and volume whose channels lie last in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Linear(3, 4)
        pools = (nn.AdaptiveAvgPool1d(1), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool3d((1, 1, 1)))
        self.pools = nn.ModuleList(pools)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, 3) -> (N, 12)."""
        last = self.mixing(x).tanh()
        images = [last, last.unflatten(1, (2, 2)), last.square().unflatten(1, (2, 2, 1))]
        pooled = [pool(y.movedim(-1, 1)) for pool, y in zip(self.pools, images, strict=True)]
        return torch.cat([y.flatten(1) for y in pooled], 1)


row("pooling", "global average, channels last", (4, 3), lambda: Head(12, PooledChannelsLast()))

# --- norms


def normed(norm: nn.Module) -> Callable[[], nn.Module]:
    """A convolution, a norm, a linear head."""
    return lambda: Head(64, nn.Conv2d(1, 4, 3), norm, nn.Tanh())


row("norms", "BatchNorm1d", (5,), lambda: Head(4, nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh()))
row("norms", "BatchNorm2d", (1, 6, 6), normed(nn.BatchNorm2d(4)))
row(
    "norms",
    "BatchNorm2d transductive",
    (1, 6, 6),
    normed(nn.BatchNorm2d(4, track_running_stats=False)),
)
row("norms", "GroupNorm", (1, 6, 6), normed(nn.GroupNorm(2, 4)))
row("norms", "InstanceNorm2d", (1, 6, 6), normed(nn.InstanceNorm2d(4, affine=True)))
row("norms", "LayerNorm", (5,), lambda: Head(4, nn.Linear(5, 4), nn.LayerNorm(4), nn.Tanh()))
row("norms", "RMSNorm", (5,), lambda: Head(4, nn.Linear(5, 4), nn.RMSNorm(4), nn.Tanh()))
row("norms", "LocalResponseNorm", (1, 6, 6), normed(nn.LocalResponseNorm(2)))
row(
    "norms",
    "weight norm",
    (5,),
    lambda: Head(4, nn.utils.parametrizations.weight_norm(nn.Linear(5, 4)), nn.Tanh()),
)

# --- activations

for _activation in (
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(0.1),
    nn.ELU(),
    nn.SELU(),
    nn.CELU(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.SiLU(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardtanh(),
    nn.Softplus(),
    nn.Softsign(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.LogSigmoid(),
    nn.PReLU(3),
    nn.Mish(),
    nn.Softmax(1),
    nn.LogSoftmax(1),
    nn.Dropout(0.5),
):
    row(
        "activations",
        type(_activation).__name__
        + (" tanh" if "tanh" in repr(_activation) and "GELU" in repr(_activation) else ""),
        (4,),
        partial(Head, 3, nn.Linear(4, 3), _activation),
    )
row("activations", "in place", (4,), lambda: Head(3, nn.Linear(4, 3), nn.SiLU(inplace=True)))
row("activations", "GLU", (4,), lambda: Head(3, nn.Linear(4, 6), nn.GLU(1)))

# --- sequences


def _attention_pooled(x: Tensor, w: Tensor) -> Tensor:
    """(N, T, D) and a query (D,): matrix times vector, and its gradients."""
    shares = torch.softmax(torch.tanh(x * w) @ w, 1)
    return (x * shares[..., None]).sum(1)


class _SelfBilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear = nn.Bilinear(4, 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.bilinear(x, x)
        return output


class Recurrent(nn.Module):
    """A recurrent layer, and a linear head on its last output."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, WAYS)."""
        output: Tensor = self.head(self.layer(x)[0][:, -1])
        return output


class LastState(nn.Module):
    """An LSTM with a learned first state, of which only the last states are read."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(3, 4, 2, bias=False)
        self.start = nn.Parameter(torch.randn(2, 2, 1, 4))
        self.head = nn.Linear(16, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, WAYS)."""
        hidden, cell = self.start.expand(2, 2, x.shape[0], 4).unbind()
        _, (hidden, cell) = self.layer(x.transpose(0, 1), (hidden.contiguous(), cell.contiguous()))
        output: Tensor = self.head(torch.cat([*hidden, *cell], 1))
        return output


class Attention(nn.Module):
    """Self-attention over a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, 4) -> (N, WAYS)."""
        output: Tensor = self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))
        return output


row("sequences", "Embedding", (4,), lambda: Head(12, nn.Embedding(7, 3)), tokens=7)
row(
    "sequences",
    "Embedding with padding",
    (4,),
    lambda: Head(12, nn.Embedding(7, 3, padding_idx=0)),
    tokens=7,
)
row("sequences", "RNN", (4, 3), lambda: Recurrent(nn.RNN(3, 4, batch_first=True)))
row("sequences", "GRU", (4, 3), lambda: Recurrent(nn.GRU(3, 4, batch_first=True)))
row(
    "sequences",
    "GRU bidirectional, two layers",
    (3, 3),
    lambda: Recurrent(nn.GRU(3, 4, 2, batch_first=True, bidirectional=True)),
)
row("sequences", "LSTM", (4, 3), lambda: Recurrent(nn.LSTM(3, 4, batch_first=True)))
row(
    "sequences",
    "LSTM bidirectional",
    (3, 3),
    lambda: Recurrent(nn.LSTM(3, 4, batch_first=True, bidirectional=True)),
)
row(
    "sequences",
    "RNN with ReLU, without bias",
    (4, 3),
    lambda: Recurrent(nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True)),
)
row("sequences", "LSTM from a learned state to its last one", (3, 3), LastState)
row("sequences", "MultiheadAttention", (5, 4), lambda: Attention())
row(
    "sequences",
    "TransformerEncoderLayer",
    (5, 4),
    lambda: Head(20, nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)),
)
row(
    "sequences",
    "TCN",
    (2, 12),
    lambda: Head(
        24,
        *(
            layer
            for d in (1, 2, 4)
            for layer in (
                nn.ConstantPad1d((2 * d, 0), 0.0),
                nn.Conv1d(2, 2, 3, dilation=d),
                nn.ReLU(),
            )
        ),
    ),
)

# --- structure


class Residual(nn.Module):
    """x + body(x), as in ResNet."""

    def __init__(self, *body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.shortcut = shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that the body keeps."""
        output: Tensor = self.body(x) + self.shortcut(x)
        return output


class Branches(nn.Module):
    """Concatenates what its branches make of one input, along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *) -> (N, sum of C, *)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Shared(nn.Module):
    """Uses one layer three times, and its weight once more, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.head = nn.Linear(4, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) -> (N, WAYS)."""
        for _ in range(3):
            x = torch.tanh(self.layer(x))
        output: Tensor = self.head(x @ self.layer.weight)
        return output


class Formula(nn.Module):
    """A function of one parameter, written with plain operators."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape) / 2)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the function makes."""
        return self.function(x, self.weight)


def _assigning(x: Tensor, w: Tensor) -> Tensor:
    output = x @ w
    output[:, 1:3] = output[:, 1:3] * 2
    output[:, 0] += 1
    return output


def formula(
    function: Callable[[Tensor, Tensor], Tensor], *shape: int, features: int
) -> Callable[[], nn.Module]:
    """A formula under a linear head."""
    return lambda: Head(features, Formula(function, *shape))


row(
    "structure",
    "residual branch",
    (2, 5, 5),
    lambda: Head(50, Residual(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())),
)
row(
    "structure",
    "concatenated branches",
    (2, 5, 5),
    lambda: Head(125, Branches(nn.Conv2d(2, 3, 1), nn.Conv2d(2, 2, 3, padding=1))),
)
row("structure", "weight sharing", (4,), lambda: Shared())
row(
    "structure",
    "Upsample nearest",
    (1, 3, 3),
    lambda: Head(72, nn.Conv2d(1, 2, 1), nn.Upsample(scale_factor=2)),
)
row(
    "structure",
    "Upsample bilinear",
    (1, 3, 3),
    lambda: Head(72, nn.Conv2d(1, 2, 1), nn.Upsample(scale_factor=2, mode="bilinear")),
)
row(
    "structure",
    "Upsample bilinear, aligned corners",
    (1, 3, 4),
    lambda: Head(60, nn.Conv2d(1, 2, 1), nn.Upsample((5, 6), mode="bilinear", align_corners=True)),
)
row(
    "structure", "PixelShuffle", (1, 3, 3), lambda: Head(36, nn.Conv2d(1, 4, 1), nn.PixelShuffle(2))
)
row(
    "structure",
    "padding: zero, constant, reflection, replication",
    (1, 4, 4),
    lambda: Head(
        200,
        nn.Conv2d(1, 1, 1),
        nn.ZeroPad2d(1),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d(2),
        nn.Conv2d(1, 2, 3),
    ),
)
row(
    "structure",
    "einsum",
    (3, 4),
    formula(lambda x, w: torch.einsum("ntd,dk->nk", x, w), 4, 5, features=5),
)
row(
    "structure",
    "attention pooling",
    (6, 4),
    formula(_attention_pooled, 4, features=4),
)
row(
    "structure",
    "index assignment",
    (6, 4),
    formula(_assigning, 4, 3, features=18),
)
row(
    "structure",
    "indexing",
    (6, 4),
    formula(lambda x, w: x[:, ::2, 1:] @ w[[2, 0, 1]], 3, 5, features=15),
)
row(
    "structure",
    "index_select, roll, flip",
    (6, 4),
    formula(
        lambda x, w: x @ w.roll(1, 0).flip(1).index_select(1, torch.tensor([0, 2, 2])),
        4,
        3,
        features=18,
    ),
)
row(
    "structure",
    "exp, log, sqrt, pow, abs",
    (4,),
    formula(lambda x, w: (x @ w).exp().add(1).log().sqrt().pow(3).abs(), 4, 5, features=5),
)
row(
    "structure",
    "sin, cos, atan, erf",
    (4,),
    formula(
        lambda x, w: (x @ w).sin() + (x @ w).cos() + (x @ w).atan() + (x @ w).erf(),
        4,
        5,
        features=5,
    ),
)
row(
    "structure",
    "max, min, clamp, where",
    (4,),
    formula(
        lambda x, w: torch.where(
            x @ w > 0, (x @ w).clamp(-0.5, 0.5), torch.maximum(x @ w, -x @ w)
        ).minimum(x @ w + 1),
        4,
        5,
        features=5,
    ),
)
row(
    "structure",
    "amax, amin, logsumexp, var, norm",
    (4, 3),
    formula(
        lambda x, w: torch.stack(
            [
                (x @ w).amax(1),
                (x @ w).amin(1),
                (x @ w).logsumexp(1),
                (x @ w).var(1),
                (x @ w).norm(dim=1),
            ],
            1,
        ),
        3,
        5,
        features=25,
    ),
)
row(
    "structure",
    "cumsum, sort, topk",
    (4, 3),
    formula(
        lambda x, w: torch.cat(
            [(x @ w).cumsum(1), (x @ w).sort(1).values, (x @ w).topk(2, 1).values], 1
        ),
        3,
        2,
        features=20,
    ),
)
row(
    "structure",
    "cosine similarity",
    (4,),
    formula(lambda x, w: F.cosine_similarity(x[:, None], w[None], dim=2), 6, 4, features=6),
)


class UNet(nn.Module):
    """One level down and up again, with a skip; a value for every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.deep = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) -> (N, 1, H, W)."""
        skip = self.down(x)
        output: Tensor = self.last(torch.cat([skip, self.up(self.deep(skip))], 1))
        return output


class ConvNext(nn.Module):
    """Two residual blocks with their channels last in memory, then layer norm over them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 2, 2)
        self.depthwise = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, groups=4) for _ in range(2))
        self.mixing = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2, 16, 16) -> (N, WAYS)."""
        x = self.stem(x)
        for depthwise, mixing in zip(self.depthwise, self.mixing, strict=True):
            x = x + mixing(depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        normal = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        output: Tensor = self.head(normal.mean((2, 3)))
        return output


class ViT(nn.Module):
    """Patches, a class token, positions, one encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8) / 4)
        self.positions = nn.Parameter(torch.randn(1, 5, 8) / 4)
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, batch_first=True, norm_first=True, activation="gelu"
        )
        self.head = nn.Linear(8, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 8, 8) -> (N, WAYS)."""
        patches = self.patches(x).flatten(2).transpose(1, 2)  # (N, 8, 2, 2) -> (N, 4, 8)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1) + self.positions
        output: Tensor = self.head(self.layer(tokens)[:, 0])
        return output


def conv_norm(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """A convolution without bias and a batch norm."""
    return [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]


row(
    "networks",
    "ResNet-12 block",
    (2, 8, 8),
    lambda: Head(
        64,
        Residual(
            *conv_norm(2, 4, 3),
            nn.LeakyReLU(0.1),
            *conv_norm(4, 4, 3),
            nn.LeakyReLU(0.1),
            *conv_norm(4, 4, 3),
            shortcut=nn.Sequential(*conv_norm(2, 4, 1)),
        ),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2),
    ),
)
row(
    "networks",
    "Conv4 blocks with batch norm",
    (1, 9, 8),
    lambda: Head(
        16,
        *(
            layer
            for inside in (1, 4)
            for layer in (*conv_norm(inside, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        ),
    ),
)
row(
    "networks",
    "convolution that a pooled norm and a shortcut read",
    (1, 8, 8),
    lambda: Head(
        64,
        nn.Conv2d(1, 4, 3, padding=1),
        Residual(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), shortcut=nn.AvgPool2d(2)),
    ),
)
row(
    "networks",
    "MobileNetV2 block",
    (2, 6, 6),
    lambda: Head(
        72,
        Residual(
            *conv_norm(2, 8, 1),
            nn.ReLU6(),
            *conv_norm(8, 8, 3, groups=8),
            nn.ReLU6(),
            *conv_norm(8, 2, 1),
        ),
    ),
)
row(
    "networks",
    "DS-CNN",
    (1, 12, 6),
    lambda: Head(
        4,
        *conv_norm(1, 4, 3, 2),
        nn.ReLU(),
        *(
            layer
            for _ in range(2)
            for layer in (*conv_norm(4, 4, 3, groups=4), nn.ReLU(), *conv_norm(4, 4, 1), nn.ReLU())
        ),
        nn.AdaptiveAvgPool2d(1),
    ),
)
row("networks", "ConvNeXt blocks", (2, 16, 16), ConvNext)
row("networks", "ViT", (1, 8, 8), lambda: ViT())
row("networks", "U-Net", (1, 6, 6), lambda: UNet(), task="regression", target=(1, 6, 6))

# --- losses

for _name, _loss, _settings in (
    ("cross entropy", F.cross_entropy, {}),
    ("balanced cross entropy", balanced_cross_entropy, {}),
    (
        "cross entropy with label smoothing",
        lambda o, y: F.cross_entropy(o, y, label_smoothing=0.1),
        {},
    ),
    ("multi-margin", F.multi_margin_loss, {}),
    ("mean squared error", F.mse_loss, {"task": "regression", "target": (WAYS,)}),
    ("L1", F.l1_loss, {"task": "regression", "target": (WAYS,)}),
    ("smooth L1", F.smooth_l1_loss, {"task": "regression", "target": (WAYS,)}),
    (
        "Huber",
        lambda o, y: F.huber_loss(o, y, delta=0.5),
        {"task": "regression", "target": (WAYS,)},
    ),
    (
        "binary cross entropy, multi-label",
        F.binary_cross_entropy_with_logits,
        {"task": "regression", "target": (WAYS,), "binary": True},
    ),
    (
        "a Python function",
        lambda o, y: (o - y).abs().pow(1.5).sum(1).mean() + o.square().mean() / 10,
        {"task": "regression", "target": (WAYS,)},
    ),
):
    row("losses", _name, (4,), lambda: Head(8, nn.Linear(4, 8), nn.Tanh()), loss=_loss, **_settings)
