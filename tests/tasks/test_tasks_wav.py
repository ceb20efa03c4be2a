"""Recordings: MFCC and log-mel against an independent computation, files of every width."""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta.data._mfcc import Spectra, Spectrum
from edgemeta.data._wav import read_wav, read_wav_folders, resample
from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource

RATE = 16_000


def _write(path: Path, clip: NDArray[Any], rate: int = RATE, width: int = 2) -> None:
    """Write (n,) or (n, channels) in -1..1 as PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.round(clip * (2 ** (8 * width - 1) - 1)).astype(np.int64).reshape(len(clip), -1)
    if width == 1:
        whole += 128
    with wave.open(str(path), "wb") as file:
        file.setnchannels(whole.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(
            b"".join(int(v).to_bytes(width, "little", signed=width > 1) for v in whole.ravel())
        )


def _tone(hertz: float, seconds: float = 1.0, rate: int = RATE) -> NDArray[np.float64]:
    tone: NDArray[np.float64] = 0.5 * np.sin(2 * np.pi * hertz * np.arange(seconds * rate) / rate)
    return tone


def _reference(clip: NDArray[Any], mels: int, coefficients: int | None) -> NDArray[np.float64]:
    """The features of 16 kHz in windows of 640 every 320, by loops and the formulas as written."""
    size, n_fft = 640, 1024

    def mel(f: float) -> float:
        return 2595 * math.log10(1 + f / 700)

    low, high = mel(20), mel(8000)
    corners = [low + (high - low) * k / (mels + 1) for k in range(mels + 2)]
    rows = []
    for start in range(0, len(clip) - size + 1, 320):
        frame = [
            clip[start + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / size)) for n in range(size)
        ]
        spectrum = np.fft.fft(np.array(frame + [0.0] * (n_fft - size)))
        bands = []
        for m in range(mels):
            left, middle, right = corners[m : m + 3]
            energy = 0.0
            for i in range(n_fft // 2 + 1):
                place = mel(i * 16_000 / n_fft)
                if left < place <= middle:
                    weight = (place - left) / (middle - left)
                elif middle < place < right:
                    weight = (right - place) / (right - middle)
                else:
                    continue
                energy += weight * (spectrum[i].real ** 2 + spectrum[i].imag ** 2)
            bands.append(math.log(energy + 1e-6))
        if coefficients is None:
            rows.append(bands)
            continue
        rows.append(
            [
                math.sqrt((1 if k == 0 else 2) / mels)
                * sum(
                    b * math.cos(math.pi * k * (2 * m + 1) / (2 * mels))
                    for m, b in enumerate(bands)
                )
                for k in range(coefficients)
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize(("features", "kept"), [("mfcc", 10), ("logmel", None)])
def test_features_are_those_of_the_formulas(features: Spectra, kept: int | None) -> None:
    rng = np.random.default_rng(0)
    clip = rng.normal(0, 0.1, 1600) + _tone(700, 0.1)
    spectrum = Spectrum(features=features, seconds=0.1, mels=40)
    got, want = spectrum(clip), _reference(clip, 40, kept)
    assert got.shape == spectrum.shape == want.shape
    assert got.dtype == np.float32
    # float32 of values up to 50: half a unit in the last place is 2e-6
    np.testing.assert_allclose(got, want, atol=4e-6, rtol=0)


def test_the_shape_of_speech_commands() -> None:
    assert Spectrum().shape == (49, 10)
    assert Spectrum()(np.zeros(RATE)).shape == (49, 10)
    assert np.isfinite(Spectrum()(np.zeros(RATE))).all()  # silence
    assert Spectrum(features="logmel", hop_ms=10, window_ms=30).shape == (98, 40)


def test_all_coefficients_keep_the_energy() -> None:
    """An orthonormal transform of all bands has the bands' norm."""
    clip = np.random.default_rng(0).normal(0, 0.1, RATE)
    bands = Spectrum(features="logmel")(clip)
    every = Spectrum(coefficients=40)(clip)
    np.testing.assert_allclose(
        np.linalg.norm(every, axis=1), np.linalg.norm(bands, axis=1), rtol=1e-6
    )


def test_a_higher_tone_peaks_in_a_higher_band() -> None:
    bands = [
        int(Spectrum(features="logmel")(_tone(hertz))[20].argmax()) for hertz in (200, 800, 3000)
    ]
    mel = [2595 * math.log10(1 + hertz / 700) for hertz in (200, 800, 3000)]
    step = (2840.02 - 2595 * math.log10(1 + 20 / 700)) / 41
    first = 2595 * math.log10(1 + 20 / 700) + step
    assert bands == [round((m - first) / step) for m in mel]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_files_of_every_width(tmp_path: Path, width: int) -> None:
    clip = np.stack([_tone(300, 0.01), -0.5 * _tone(300, 0.01)], axis=1)
    _write(tmp_path / "a.wav", clip, width=width)
    recording = read_wav(tmp_path / "a.wav")
    assert recording.rate == RATE
    # One step of an 8-bit file is 1/128; channels are averaged.
    atol = max(1.1 / 2 ** (8 * width - 1), 1e-7)
    np.testing.assert_allclose(recording.samples, clip.mean(axis=1), atol=atol)


def test_another_rate_is_the_same_tone() -> None:
    got = resample(_tone(440, 0.5, 8000).astype(np.float32), 8000, RATE)
    np.testing.assert_allclose(got[200:-200], _tone(440, 0.5)[200:-200], atol=2e-2)
    down = resample(_tone(440, 0.5).astype(np.float32), RATE, 8000)
    np.testing.assert_allclose(down[200:-200], _tone(440, 0.5, 8000)[200:-200], atol=2e-2)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """Six words, five speakers, two utterances each, and Google's folder of noise."""
    for k in range(6):
        for speaker in range(5):
            for n in range(2):
                path = tmp_path / f"word{k}" / f"s{speaker}_nohash_{n}.wav"
                _write(path, _tone(200 * (k + 1) + 5 * speaker + n, 0.1))
    _write(tmp_path / "_background_noise_" / "white.wav", _tone(50, 0.1))
    return tmp_path


def _open(path: Path, by: Any = "class", **options: Any) -> DatasetSource:
    source = open_tasks(str(path), by=by, options=DataOptions(**options))
    assert isinstance(source, DatasetSource)
    return source


def test_speech_commands_by_word_and_by_speaker(commands: Path) -> None:
    source = _open(commands)
    assert source.input_shape == (49, 10)  # short clips are filled with silence
    assert source.input_dtype == np.float32
    assert source.class_names == tuple(f"word{k}" for k in range(6))
    assert source.subject_names == tuple(f"s{k}" for k in range(5))
    record = source.preprocessing
    assert record["features"] == "mfcc"
    assert (record["sample_rate"], record["window_ms"], record["hop_ms"]) == (16000, 40, 20)
    assert (record["mels"], record["coefficients"], record["n_fft"]) == (40, 10, 1024)
    people = _open(commands, by="subject")
    assert [len(people.units(s)) for s in ("train", "val", "test")] == [3, 1, 1]
    episode = people.episode("test", EpisodeSize(6, 1, 1), 0, 0)
    assert episode.query_x.shape == (6, 49, 10)


def test_the_lists_of_speech_commands_are_its_split(commands: Path) -> None:
    words = [f"word{k}" for k in range(6)]
    for name, speaker in (("validation_list.txt", 3), ("testing_list.txt", 4)):
        lines = [f"{word}/s{speaker}_nohash_{n}.wav\n" for word in words for n in range(2)]
        (commands / name).write_text("".join(lines))
    data = read_wav_folders(commands, DataOptions())
    assert data.split is not None
    assert data.subject is not None
    assert data.split.tolist() == np.array([0, 0, 0, 1, 2])[data.subject].tolist()
    people = _open(commands, by="subject")
    assert [sorted(people.units(s)) for s in ("train", "val", "test")] == [[0, 1, 2], [3], [4]]


def test_options_of_recordings(commands: Path) -> None:
    source = _open(
        commands, features="logmel", seconds=0.1, mels=20, window=25, hop=10, sample_rate=8000
    )
    assert source.input_shape == (8, 20)
    assert source.preprocessing["sample_rate"] == 8000


def test_names_without_speakers(tmp_path: Path) -> None:
    for k in "ab":
        _write(tmp_path / k / "1.wav", _tone(100))
        _write(tmp_path / k / "x_2.wav", _tone(100))
    assert _open(tmp_path).subject_names == ()
    with pytest.raises(InputError, match="names no subjects"):
        _open(tmp_path, by="subject")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 2000}, "--window and --hop do not fit the clips: got 32000 and 320 of 16000"),
        ({"coefficients": 50}, "more --coefficients than --mels: got 50, expected 40"),
        ({"mels": 500}, "too many --mels"),
        ({"image_size": 3}, "do not apply to a folder of recordings per class: got --image-size"),
    ],
)
def test_options_that_do_not_fit(commands: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _open(commands, **options)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    _write(path, _tone(100, 0.01))
    content = path.read_bytes()
    compressed = content.replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 3, 1), 1)
    beyond = content[:12] + b"junk" + struct.pack("<I", 2**31) + content[12:]
    for damaged in (b"", b"RIFF", content[:30], compressed, content[:44], beyond):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.wav (cannot be read|holds no sound)") as caught:
            read_wav(path)
        assert "\n" not in str(caught.value)
