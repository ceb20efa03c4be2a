"""The package computes the features of sound that Python does."""

from __future__ import annotations

import json
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from edgemeta.data._mfcc import Spectrum
from edgemeta.data._wav import ClipDecoder, read_wav, resample
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta_export import export_bundle
from tests.web.conftest import Node

RATE = 16_000


def write_wav(path: Path, rate: int, width: int = 2, seconds: float = 1.0) -> None:
    """Write a chirp in two channels, with some noise."""
    rng = np.random.default_rng(3)
    t = np.arange(round(seconds * rate)) / rate
    clip = np.stack([np.sin(2 * np.pi * (200 + 900 * t) * t), rng.normal(0, 0.1, len(t))], 1)
    whole = np.round(clip.clip(-1, 1) * 0.4 * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    whole += 128 * (width == 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(
            b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in whole.ravel())
        )


def make_bundle(path: Path, spectrum: Spectrum) -> Path:
    """Export a small network, untrained but for a shared head, that says what features it takes."""
    numbers = math.prod(spectrum.shape)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.LayerNorm(numbers), nn.Linear(numbers, 64), nn.ReLU(), SharedHead(64)
    )
    x = np.random.default_rng(0).normal(size=(4, *spectrum.shape)).astype(np.float32)
    record: dict[str, Any] = {"result": {"preprocessing": spectrum.record()}, "config": {}}
    return export_bundle(
        model, path, x, ways=3, inner_lr=0.5, inner_steps=30, adapt=("4.*",), training=record
    )


@pytest.mark.parametrize(
    ("spectrum", "rate", "width"),
    [
        (Spectrum(), RATE, 2),
        (Spectrum(features="logmel"), RATE, 3),
        (Spectrum(features="logmel", window_ms=30, hop_ms=10, mels=32), 44_100, 1),
        (Spectrum(coefficients=13, seconds=0.5, sample_rate=8000), 22_050, 4),
    ],
    ids=["mfcc", "logmel", "44100 Hz", "8000 Hz"],
)
def test_features_are_pythons(
    node: Node, tmp_path: Path, spectrum: Spectrum, rate: int, width: int
) -> None:
    bundle = make_bundle(tmp_path / "bundle", spectrum)
    write_wav(tmp_path / "a.wav", rate, width)
    result = tmp_path / "result.safetensors"
    answer = node.ask("features", bundle=bundle, wav=tmp_path / "a.wav", result=result)
    assert answer == {}
    found = load_file(result)
    clip = read_wav(tmp_path / "a.wav").samples
    if rate != spectrum.sample_rate:
        clip = resample(clip, rate, spectrum.sample_rate)
    np.testing.assert_allclose(found["clip"], clip, atol=1e-6)  # float32 of values below 1
    want = ClipDecoder(spectrum).decode(tmp_path / "a.wav")
    assert found["features"].shape == want.shape
    # float32 of values up to 50; a clip that differs by 6e-8 moves quiet bands by a little more
    np.testing.assert_allclose(found["features"], want, atol=1e-4)


def test_a_bundle_without_sound_has_no_features(node: Node, tmp_path: Path) -> None:
    answer = node.ask(
        "features",
        bundle=Path(__file__).parents[2] / "edgemeta" / "device" / "packaged" / "omniglot",
        wav=tmp_path / "a.wav",
        result=tmp_path / "b",
    )
    assert answer == {"error": "no features of sound"}


def test_features_that_are_not_computed_are_refused(node: Node, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", Spectrum(seconds=0.1))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["training"]["result"]["preprocessing"]["mel_scale"] = "slaney"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    answer = node.ask("features", bundle=bundle, wav="a.wav", result="b")
    assert answer["error"].startswith("these features are not computed here: got mel_scale")
