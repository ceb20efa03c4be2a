"""Pre-trained bodies that installed packages carry, and ONNX files as bodies."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgemeta import InputError, UnsupportedModelError
from edgemeta.bundle import TensorSpec
from edgemeta.meta.models.bodies import (
    READY,
    count_features,
    make_body,
    make_body_model,
    own_input,
)
from edgemeta.meta.models.weights import weights_digest
from tests.onnx_files import convolution, model, perceptron

PICTURES = TensorSpec((64, 64, 3), "uint8")


def recordings(count: int, length: int = 20_480) -> torch.Tensor:
    """Return noise of different loudness."""
    generator = torch.Generator().manual_seed(0)
    loudness = torch.logspace(1, 4, count)[:, None]
    return (torch.randn(count, length, generator=generator) * loudness).to(torch.int16)


@pytest.mark.parametrize("length", [12_640, 16_000, 20_480, 32_000])
def test_speech_of_any_length(length: int) -> None:
    body = make_body("speech", TensorSpec((length,), "int16"))
    assert body(recordings(2, length)).shape == (2, 96)


def test_a_quiet_recording_is_the_same_beside_a_loud_one() -> None:
    """The spectrogram of the package takes its maximum over whatever it is given at once."""
    body, x = make_body("speech", READY["speech"].input), recordings(4)
    alone = torch.cat([body(x[k : k + 1]) for k in range(4)])
    torch.testing.assert_close(body(x), alone, rtol=1e-5, atol=1e-4)


def test_speech_is_what_the_package_computes() -> None:
    """Against the package's own files, window by window, as its Python code does it."""
    import onnxruntime

    spec = importlib.util.find_spec("openwakeword")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "resources" / "models"
    mel, embed = (
        onnxruntime.InferenceSession(folder / name)
        for name in ("melspectrogram.onnx", "embedding_model.onnx")
    )
    x = recordings(2)
    found = make_body("speech", READY["speech"].input)(x).numpy()
    for clip, got in zip(x.numpy(), found, strict=True):
        columns = mel.run(None, {"input": clip[None].astype(np.float32)})[0].squeeze() / 10 + 2
        windows = [columns[k : k + 76] for k in range(0, len(columns) - 75, 8)]
        made = embed.run(None, {"input_1": np.stack(windows)[..., None].astype(np.float32)})[0]
        np.testing.assert_allclose(got, made.squeeze().mean(0), rtol=1e-4, atol=1e-4)


def test_pictures_become_features() -> None:
    body = make_body("image", PICTURES)
    x = torch.randint(0, 256, (2, *PICTURES.shape), dtype=torch.uint8)
    with torch.no_grad():
        assert body(x).shape == (2, 1280)
    assert not any(parameter.requires_grad for parameter in body.parameters())


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        (
            "speech",
            PICTURES,
            r"speech takes other samples: got uint8 \(64, 64, 3\), expected int16",
        ),
        ("speech", TensorSpec((8_000,), "int16"), "too short .*12640"),
        ("image", TensorSpec((64, 64), "uint8"), r"expected uint8 \(height, width, 3\)"),
        ("images", PICTURES, "unknown body.*did you mean 'image'"),
        ("missing.onnx", PICTURES, "no such ONNX file"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, spec: TensorSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_body(name, spec)


@pytest.mark.parametrize(("name", "extra"), [("speech", "speech"), ("image", "vision")])
def test_a_missing_package_is_one_line(
    name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf'not installed; pip install "edgemeta\[{extra}\]"'):
        make_body(name, READY[name].input)


def test_an_onnx_file_as_a_body(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "body.onnx")
    body = make_body(str(tmp_path / "body.onnx"), TensorSpec((6,), "int16"))
    assert count_features(body, TensorSpec((6,), "int16")) == 3
    assert own_input(tmp_path / "body.onnx") == TensorSpec((6,), "float32")


def test_pictures_for_an_onnx_file_are_scaled_as_torchvision_does(tmp_path: Path) -> None:
    proto = model("body (float[n,3,8,8] x) => (float[n,3,8,8] y) { y = Identity(x) }")
    onnx.save(proto, tmp_path / "body.onnx")
    x = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    found = make_body(str(tmp_path / "body.onnx"), TensorSpec((8, 8, 3), "uint8"))(x)
    scaled = x.float().permute(0, 3, 1, 2) / 255
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    torch.testing.assert_close(found, ((scaled - mean) / std).mean((2, 3)))


def test_a_body_without_features_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"must return features: got \(2, 3, 3\)"):
        count_features(nn.Unflatten(1, (3, 3)), TensorSpec((9,), "float32"))


def test_the_digest_is_that_of_the_weights(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "a.onnx")
    onnx.save(convolution(), tmp_path / "b.onnx")
    first = make_body(str(tmp_path / "a.onnx"), TensorSpec((6,), "float32"))
    again = make_body(str(tmp_path / "a.onnx"), TensorSpec((6,), "float32"))
    other = make_body(str(tmp_path / "b.onnx"), TensorSpec((2, 8, 8), "float32"))
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    linear = nn.Linear(2, 2)
    before = weights_digest(linear)
    nn.init.zeros_(linear.bias)
    assert weights_digest(linear) != before


def test_a_body_model_has_a_neck_and_a_head_of_zeros(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "body.onnx")
    made = make_body_model(str(tmp_path / "body.onnx"), TensorSpec((6,), "float32"))
    x = torch.randn(4, 6)
    assert torch.equal(made(x), torch.zeros(4, 1))
    torch.testing.assert_close(made.features(x).norm(dim=1), torch.full((4,), 10.0))
