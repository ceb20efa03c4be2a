"""The features of sound in C++ are Python's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from edgemeta.data._mfcc import Spectrum
from tests.cpp.conftest import Bundle, Save, Tool
from tests.cpp.test_serve import answers
from tests.manifests import rewrite
from tests.web.test_sound import make_bundle

# float32 of values up to 50, of logarithms of sums in another order
ATOL = 1e-4


def features(tool: Tool, bundle: Path, clip: Path, out: Path) -> dict[str, Any]:
    request = {"op": "features", "clip": str(clip), "out": str(out)}
    loaded, answer = answers(tool, {"op": "load", "bundle": str(bundle)}, request)
    return loaded if "error" in loaded else answer


def clips(length: int, rate: int) -> dict[str, NDArray[np.float32]]:
    """Noise, a tone, a chirp, a click, silence."""
    t = np.arange(length) / rate
    made = {
        "noise": np.random.default_rng(0).normal(0, 0.2, length),
        "tone": 0.7 * np.sin(2 * np.pi * 440 * t),
        "chirp": 0.5 * np.sin(2 * np.pi * (200 + 900 * t) * t),
        "click": (np.arange(length) == length // 2) * 1.0,
        "silence": np.zeros(length),
    }
    return {name: clip.astype(np.float32) for name, clip in made.items()}


@pytest.mark.parametrize(
    "spectrum",
    [
        Spectrum(),
        Spectrum(features="logmel"),
        Spectrum(features="logmel", sample_rate=44_100, window_ms=30, hop_ms=10, mels=32),
        Spectrum(coefficients=13, seconds=0.5, sample_rate=8000),
        Spectrum(seconds=0.1, window_ms=32, hop_ms=7),
    ],
    ids=["mfcc", "logmel", "44100 Hz", "8000 Hz", "a window of a power of two"],
)
def test_features_are_pythons(tool: Tool, save: Save, tmp_path: Path, spectrum: Spectrum) -> None:
    bundle = make_bundle(tmp_path / "bundle", spectrum)
    out = tmp_path / "out.safetensors"
    for name, clip in clips(spectrum.length, spectrum.sample_rate).items():
        answer = features(tool, bundle, save(clip=clip), out)
        assert answer == {"shape": [1, *spectrum.shape], "length": spectrum.length}
        found = load_file(out)["features"]
        np.testing.assert_allclose(found[0], spectrum(clip), atol=ATOL, err_msg=name)
    # A shorter clip is filled with silence, a longer one is cut.
    half = clip = clips(spectrum.length, spectrum.sample_rate)["noise"]
    half = clip[: len(clip) // 2]
    filled = np.concatenate([half, np.zeros(len(clip) - len(half), np.float32)])
    for given, want in ((half, filled), (np.concatenate([clip, clip]), clip), (clip[:0], 0 * clip)):
        features(tool, bundle, save(clip=given), out)
        np.testing.assert_allclose(load_file(out)["features"][0], spectrum(want), atol=ATOL)


def test_what_is_refused(tool: Tool, save: Save, omniglot: Bundle, tmp_path: Path) -> None:
    clip, out = np.zeros(1600, np.float32), tmp_path / "out.safetensors"
    answer = features(tool, omniglot.path, save(clip=clip), out)
    assert answer == {"error": "the bundle has no features of sound"}
    bundle = make_bundle(tmp_path / "bundle", Spectrum(seconds=0.1))
    for wrong in (clip.astype(np.float64), clip[None], np.full(1600, np.nan, np.float32)):
        answer = features(tool, bundle, save(clip=wrong), out)
        assert answer["error"].startswith("a clip cannot be used: got float")
    manifest = (bundle / "manifest.json").read_text()
    for field, value in {
        "mel_scale": "slaney",
        "taper": "hamming",
        "n_fft": 2048,
        "lowest_hz": 0.0,
        "log_offset": 1e-5,
        "highest_hz": 4000.0,
        "features": "chroma",
        "sample_rate": 16000.5,
        "seconds": "1",
        "window_ms": 101,
        "hop_ms": 0,
        "mels": 10**9,
        "coefficients": 41,
    }.items():
        record = json.loads(manifest)
        record["training"]["result"]["preprocessing"][field] = value
        (bundle / "manifest.json").write_text(json.dumps(record))
        answer = features(tool, bundle, save(clip=clip), out)
        assert answer["error"].startswith("these features are not computed here: got "), field
    (bundle / "manifest.json").write_text(manifest)
    rewrite(bundle, lambda r: r["training"]["result"]["preprocessing"].pop("n_fft") and None)
    answer = features(tool, bundle, save(clip=clip), out)
    assert answer["error"].startswith("these features are not computed here: got no field n_fft")
    assert not out.exists()
