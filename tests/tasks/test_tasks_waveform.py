"""Waveforms: int16 as files hold them, centred; the same for every kind of file."""

from __future__ import annotations

import doctest
import struct
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgemeta.data import waveform
from edgemeta.data._audio import check_sound
from edgemeta.data._mfcc import Spectrum
from edgemeta.data._wav import ClipDecoder, length, read_recording, read_wav, resample
from edgemeta.data.waveform import Waveform
from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource

RATE = 16_000


def _write(path: Path, whole: NDArray[np.int16], rate: int = RATE) -> Path:
    """Write (n,) or (n, channels) as a 16-bit file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if whole.ndim == 1 else whole.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.astype("<i2").tobytes())
    return path


def _noise(count: int, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-(2**15), 2**15, count, np.int16)


def _tone(hertz: float, rate: int, seconds: float = 1.0) -> NDArray[np.float32]:
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def _decode(path: Path, **options: Any) -> NDArray[np.int16]:
    return ClipDecoder(Waveform(**options)).decode(path)


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_middle_of_a_recording_is_the_middle_of_a_sample(count: int, kept: int) -> None:
    whole = _noise(count) | 1  # no zeros
    clip = Waveform(sample_rate=1, seconds=kept)(whole.astype(np.float32) / 2**15)
    assert clip.dtype == np.int16
    assert len(clip) == kept
    if count <= kept:
        before = (kept - count) // 2
        assert np.array_equal(clip, np.pad(whole, (before, kept - count - before)))
    else:
        before = (count - kept) // 2
        assert np.array_equal(clip, whole[before : before + kept])


def test_files_of_16_bits_keep_their_numbers(tmp_path: Path) -> None:
    short, full, long = (_noise(count, count) for count in (16_000, 20_480, 30_000))
    assert np.array_equal(_decode(_write(tmp_path / "a.wav", full)), full)
    got = _decode(_write(tmp_path / "b.wav", short))
    assert np.array_equal(got, np.pad(short, 2240))
    got = _decode(_write(tmp_path / "c.wav", long))
    assert np.array_equal(got, long[4760:-4760])


def test_channels_are_averaged(tmp_path: Path) -> None:
    both = np.stack([_noise(20_480, 1), _noise(20_480, 2)], axis=1)
    got = _decode(_write(tmp_path / "a.wav", both))
    assert np.abs(got - both.astype(int).mean(axis=1)).max() <= 0.5


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_other_widths_are_rounded_and_clipped(tmp_path: Path, subtype: str) -> None:
    wanted = _noise(20_480).astype(np.float64)
    beyond = np.array([1.5, -1.5, 1.0, -1.0]) if subtype in ("FLOAT", "DOUBLE") else np.ones(4)
    clip = np.concatenate([beyond, wanted[4:] / 2**15])
    soundfile.write(tmp_path / "a.wav", clip, RATE, subtype)
    got = _decode(tmp_path / "a.wav")
    if subtype in ("FLOAT", "DOUBLE"):
        assert got[:4].tolist() == [32767, -32768, 32767, -32768]
    step = 2**8 if subtype == "PCM_U8" else 1
    # libsndfile scales by the largest positive number, and 8 bits are cut off
    assert np.abs(got[4:] - wanted[4:]).max() <= step


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT"])
def test_what_lies_between_two_numbers_is_rounded(tmp_path: Path, subtype: str) -> None:
    between = np.array([0.75, -0.75, 100.6, -100.6, 7.25])
    soundfile.write(tmp_path / "a.wav", between / 2**15, RATE, subtype)
    assert _decode(tmp_path / "a.wav", seconds=5 / RATE).tolist() == [1, -1, 101, -101, 7]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.flac", {}),
        ("A.AIFF", {"format": "AIFF"}),
        ("a.au", {}),
        ("a.caf", {}),
        ("a.w64", {}),
        ("misnamed.wav", {"format": "FLAC"}),
        ("extensible.wav", {"format": "WAVEX"}),
    ],
)
def test_lossless_formats_are_the_same_numbers(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    whole = _noise(20_480)
    soundfile.write(tmp_path / name, whole, RATE, subtype="PCM_16", **options)
    assert np.array_equal(_decode(tmp_path / name), whole)
    assert length(tmp_path / name) == (20_480, RATE)


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.opus"])
def test_lossy_formats_are_nearly_the_same(tmp_path: Path, name: str) -> None:
    tone = _tone(440, RATE, 1.28)
    kind = {"format": "OGG", "subtype": "OPUS"} if name == "a.opus" else {}
    soundfile.write(tmp_path / name, tone, RATE, **kind)
    got = _decode(tmp_path / name)[2000:-2000] / 2**15
    # The codecs may shift by some samples: compare the spectrum's peak and the loudness.
    spectrum = np.abs(np.fft.rfft(got))
    assert abs(spectrum.argmax() * RATE / len(got) - 440) < RATE / len(got)
    assert abs(got.std() - 0.5 / np.sqrt(2)) < 0.01


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_another_rate_is_the_same_tone(tmp_path: Path, rate: int) -> None:
    _write(tmp_path / "a.wav", np.rint(_tone(440, rate, 1.28) * 2**15).astype(np.int16), rate)
    got = _decode(tmp_path / "a.wav") / 2**15
    # Both are rounded to 16 bits, and "HQ" is of about 20 of them; a cut begins with a click.
    np.testing.assert_allclose(got[500:-500], _tone(440, RATE, 1.28)[500:-500], atol=1e-4)


def test_what_a_lower_rate_cannot_hold_is_gone(tmp_path: Path) -> None:
    """Dropping every third sample would make 3 kHz of 13 kHz."""
    _write(
        tmp_path / "a.wav", np.rint(_tone(13_000, 48_000, 1.28) * 2**15).astype(np.int16), 48_000
    )
    assert np.abs(_decode(tmp_path / "a.wav")[500:-500]).max() <= 2


def test_spectra_are_resampled_as_before(tmp_path: Path) -> None:
    """Their records do not name a resampler: it must not change."""
    path = _write(tmp_path / "a.wav", _noise(22_050), 22_050)
    spectrum = Spectrum()
    want = spectrum(resample(read_wav(path).samples, 22_050, RATE))
    assert np.array_equal(ClipDecoder(spectrum).decode(path), want)


def test_spectra_of_other_formats(tmp_path: Path) -> None:
    whole = _noise(RATE)
    soundfile.write(tmp_path / "a.flac", whole, RATE)
    decoder = ClipDecoder(Spectrum())
    wav = decoder.decode(_write(tmp_path / "a.wav", whole))
    assert np.array_equal(decoder.decode(tmp_path / "a.flac"), wav)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Six words by five speakers, three of the files in other formats."""
    for k in range(30):
        _write(tmp_path / f"word{k % 6}" / f"s{k % 5}_{k}.wav", _noise(4000, k))
    soundfile.write(tmp_path / "word0" / "s1_30.flac", _noise(4000, 30), RATE)
    soundfile.write(tmp_path / "word1" / "s1_31.ogg", _tone(300, RATE), RATE)
    _write(tmp_path / "word2" / "s1_32.wav", _noise(4000, 32), 8000)
    return tmp_path


def _open(path: Path, **options: Any) -> DatasetSource:
    source = open_tasks(str(path), options=DataOptions(features="wave", **options))
    assert isinstance(source, DatasetSource)
    return source


def test_a_folder_of_waveforms(words: Path) -> None:
    source = _open(words, test_only=True)
    assert source.input_shape == (20_480,)
    assert source.input_dtype == np.int16
    assert len(source.rows["test"]) == 33
    assert source.subject_names == tuple(f"s{k}" for k in range(5))
    assert source.preprocessing == {
        "features": "wave",
        "sample_rate": 16_000,
        "seconds": 1.28,
        "align": "center",
        "channels": "mean",
        "resampler": "soxr HQ",
    }
    episode = source.episode("test", EpisodeSize(6, 1, 4), 0, 0)
    assert episode.query_x.shape == (24, 20_480)
    assert episode.query_x.dtype == np.int16
    assert episode.query_x[:, 10_200:10_280].any(axis=1).all()  # sound in the middle
    assert _open(words, sample_rate=8000, seconds=0.5).input_shape == (4000,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mels": 40}, "do not apply to a folder of recordings, as waveforms: got --mels"),
        ({"seconds": 1e-9}, "leave no samples: got 1e-09 s at 16000 Hz"),
    ],
)
def test_options_that_do_not_fit(words: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _open(words, **options)


def test_without_the_packages(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain files at the right rate need neither; others say which one, before any episode."""
    advice = r'which is not installed; pip install "edgemeta\[audio\]"'
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InputError, match=f"other than PCM .wav needs soundfile, {advice}"):
        _open(words)
    for path in (*words.glob("*/*.flac"), *words.glob("*/*.ogg")):
        path.unlink()
    monkeypatch.setitem(sys.modules, "soxr", None)
    source = _open(words)
    _write(words / "word0" / "s0_0.wav", _noise(4000), 8000)  # the first file
    with pytest.raises(InputError, match=f"sample rate of recordings needs soxr, {advice}"):
        _open(words)
    with pytest.raises(InputError, match=f"needs soxr, {advice}"):
        source._dataset.samples.read(np.array([0]))
    assert source._dataset.samples.read(np.array([1])).any()
    soundfile.write(words / "word0" / "s0_0.wav", _tone(300, RATE), RATE, "FLOAT")
    with pytest.raises(InputError, match=r'expected uncompressed PCM; pip install "edgemeta\[audi'):
        source._dataset.samples.read(np.array([0]))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, kind in (("a.flac", {}), ("a.ogg", {}), ("a.wav", {"subtype": "FLOAT"})):
        soundfile.write(tmp_path / name, _tone(300, RATE), RATE, **kind)
        content = (tmp_path / name).read_bytes()
        nan = content[:-4] + struct.pack("<f", np.nan)
        for damaged in (b"", content[:30], bytes(500), *([nan] if name == "a.wav" else [])):
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises(InputError, match="cannot be read as a recording") as caught:
                read_recording(tmp_path / name)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("samples", "rate", "wrong"),
    [([], RATE, "no samples"), ([0.5], 0, "0 Hz"), ([np.nan], RATE, "nan or infinity")],
)
def test_what_is_no_sound_is_said_whoever_decoded_it(
    samples: list[float], rate: int, wrong: str
) -> None:
    with pytest.raises(InputError, match=rf"a\.wav cannot be read as a recording: got {wrong}"):
        check_sound(Path("a.wav"), np.array(samples), rate)
    check_sound(Path("a.wav"), np.zeros(1), 1)


@pytest.mark.parametrize("rate", [1, 2**31 - 1])
def test_rates_that_no_recording_has(tmp_path: Path, rate: int) -> None:
    path = _write(tmp_path / "a.wav", _noise(30_000), RATE)
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<I", RATE), struct.pack("<I", rate), 1))
    with pytest.raises(InputError, match=rf"a\.wav cannot be resampled: got 30000 .* at {rate} Hz"):
        _decode(path)


def test_arabic_words_by_new_speakers(arabic_wave: Path) -> None:
    """The folders are the parts, in which new people say new words; all is kept."""
    source = open_tasks(str(arabic_wave), by="both", options=DataOptions(features="wave"))
    assert isinstance(source, DatasetSource)
    assert {part: len(rows) for part, rows in source.rows.items()} == {
        "train": 1728,
        "val": 480,
        "test": 480,
    }
    assert [len(source.classes(part)) for part in ("train", "val", "test")] == [24, 8, 8]
    people = [
        {path.name.split("_")[0] for path in (arabic_wave / part).glob("*/*")}
        for part in ("train", "val", "test")
    ]
    assert list(map(len, people)) == [18, 6, 6]
    assert sorted(source.subject_names) == sorted(set.union(*people))
    episode = source.episode("test", EpisodeSize(5, 5, 15), 0, 0)
    assert episode.query_x.shape == (75, 20_480)
    assert np.abs(episode.query_x).max(axis=1).min() > 100


def test_the_example_of_its_docstring() -> None:
    assert doctest.testmod(waveform).failed == 0
    assert doctest.testmod(waveform).attempted > 0
