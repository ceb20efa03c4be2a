"""`edgemeta export --body`: from a pre-trained network to a device, without training."""

from __future__ import annotations

import json
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgemeta import Runner
from edgemeta.bundle import TensorSpec
from edgemeta.meta.models import features
from edgemeta_export import int8_accuracy
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused
from tests.onnx_files import perceptron

RATE = 16_000
PITCHES = {"low": 250, "mid": 900, "high": 2600, "higher": 3900, "hum": 120, "buzz": 1700}


def tone(pitch: int, seed: int, seconds: float = 1.0) -> NDArray[np.int16]:
    """Return a tone of a changing pitch, with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    sound = np.sin(2 * np.pi * pitch * t * (1 + 0.05 * rng.normal()) + 3 * np.sin(20 * t))
    noisy: NDArray[np.float64] = 8000 * sound + 300 * rng.normal(size=len(t))
    return noisy.astype(np.int16)


def is_right(printed: str) -> list[bool]:
    """Return whether each file was predicted to be of the class whose folder it is in."""
    record = json.loads(printed)
    pairs = zip(record["files"], record["labels"], strict=True)
    return [label == file.split("/")[0] for file, label in pairs]


def counting(function: Callable[..., Any], calls: Counter[str]) -> Callable[..., Any]:
    """Return a function that also counts how often it gives something."""

    def counted(*arguments: Any, **options: Any) -> Any:
        found = function(*arguments, **options)
        calls[function.__name__] += 1
        return found

    return counted


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of recordings for each of six sounds, by three people."""
    for name, pitch in PITCHES.items():
        folder = tmp_path / "sounds" / name
        folder.mkdir(parents=True)
        for k in range(6):
            with wave.open(str(folder / f"{'abc'[k % 3]}_{k}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(tone(pitch, k).tobytes())
    return tmp_path / "sounds"


def test_words_without_any_training(call: Call, tmp_path: Path, sounds: Path) -> None:
    bundle, state = tmp_path / "words", tmp_path / "mine.safetensors"
    made = call("export", "--body", "speech", "--out", bundle)
    assert made.code == 0
    assert "without DATA" in made.err
    manifest = Runner(bundle).manifest
    assert manifest.input == TensorSpec((20_480,), "int16")
    assert [tensor.name for tensor in manifest.state] == ["head.weight", "head.bias"]
    assert manifest.training is not None
    assert manifest.training.config.others["body"] == "speech"
    assert manifest.training.config.others["norm_statistics"] == "running"
    assert call("verify", bundle).code == 0
    assert call("adapt", bundle, sounds, "--out", state).code == 0
    found = call("predict", bundle, sounds, "--state", state, "--json")
    right = is_right(found.out)
    assert len(right) == 36
    assert np.mean(right) > 0.9


def test_data_gives_the_mean_and_calibrates_int8(
    call: Call, tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "cache"))
    calls: Counter[str] = Counter()
    for module, name in ((features, "fingerprint"), (int8_accuracy, "evaluate")):
        monkeypatch.setattr(module, name, counting(getattr(module, name), calls))
    monkeypatch.setattr(int8_accuracy, "EPISODES", 100)  # in place of 300: to save time
    bundle = tmp_path / "words"
    arguments = ("--body", "speech", sounds, "--int8", sounds, "--by", "subject")
    made = call("export", *arguments, "--out", bundle)
    assert made.code == 0, made.err
    assert "int8: accuracy" in made.out
    # All files are looked at once; centred, as they are, and in 8 bits.
    assert calls == {"fingerprint": 1, "evaluate": 3}
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    record = Runner(bundle).manifest.training
    assert record is not None
    assert record.int8 is not None
    assert record.int8.split == "val"
    assert record.int8.episodes == 100
    assert record.int8.float32 == pytest.approx(record.int8.int8, abs=0.1)
    assert record.result is not None
    centring = record.result.centring
    assert centring is not None
    better = max(("centred", "as they are"), key=lambda name: centring[name])
    assert centring[centring["chosen"]] == centring[better]
    assert record.config.data["features"] == "wave"
    found = call("eval", bundle, sounds, "--episodes", "5", "--queries", "1", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["mean"] > 0.8


def test_pictures(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k, name in enumerate(("red", "green", "blue")):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for n in range(4):
            x = rng.integers(0, 60, (50, 40, 3))
            x[..., k] += 180
            Image.fromarray(x.astype(np.uint8)).save(tmp_path / "colours" / name / f"{n}.png")
    bundle, state = tmp_path / "objects", tmp_path / "mine.safetensors"
    made = call("export", "--body", "image", "--image-size", "64", "--out", bundle)
    assert made.code == 0, made.err
    assert Runner(bundle).manifest.input == TensorSpec((64, 64, 3), "uint8")
    assert call("adapt", bundle, tmp_path / "colours", "--out", state).code == 0
    found = call("predict", bundle, tmp_path / "colours", "--state", state, "--json")
    assert all(is_right(found.out))


def test_an_onnx_file(call: Call, tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "body.onnx")
    bundle = tmp_path / "bundle"
    assert call("export", "--body", tmp_path / "body.onnx", "--out", bundle).code == 0
    runner = Runner(bundle)
    assert runner.manifest.input == TensorSpec((6,), "float32")
    x = np.eye(6, dtype=np.float32)
    assert runner.adapt(x, np.arange(6)).predict(x).tolist() == list(range(6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a RUN, or a pre-trained network with --body"),
        (("--body", "speach"), "did you mean 'speech'?"),
        (("--body", "speech", "--seconds", "0.5"), "too short for the speech embedding"),
        (("--body", "speech", "--adapt", "head.*"), "--body adapts only its head"),
        (("--body", "image", "missing"), "unknown tasks: got 'missing'"),
        (("--body", "missing.onnx"), "no such ONNX file"),
        (("missing", "--neck", "cosine"), "no such run: got missing"),
        (("--body", "image", "a", "--int8", "b"), "two sets of samples: got a and --int8 b"),
    ],
)
def test_what_cannot_be_exported(
    call: Call, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    found = call("export", *arguments, "--out", tmp_path / "bundle")
    assert_refused(found, message)
    assert not (tmp_path / "bundle").exists()
