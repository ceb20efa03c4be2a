"""Recordings as samples: waveforms, or MFCC or log-mel spectra, computed when asked for."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemeta.data import _audio as audio
from edgemeta.data._folders import list_class_folders
from edgemeta.data._mfcc import Spectrum
from edgemeta.data.dataset import Dataset, checked_split, number
from edgemeta.data.file_samples import FileSamples
from edgemeta.data.options import DataOptions
from edgemeta.data.waveform import Waveform
from edgemeta.errors import InputError

SUFFIXES = audio.SUFFIXES


class Recording(NamedTuple):
    """A decoded file: (n,) float32, full scale = 1, channels averaged; and its rate in Hz."""

    samples: NDArray[np.float32]
    rate: int


def read_wav_folders(root: Path, options: DataOptions) -> Dataset:
    """Open a folder of recordings per class: `class/*.wav` or `{train,val,test}/class/*.wav`.

    Google's speech commands are taken as they are: where every file name has a "_", what stands
    before the first is the subject (`<speaker>_nohash_<k>.wav`), and the files that
    `validation_list.txt` and `testing_list.txt` name are the samples of split 1 and 2.

    Raises:
        InputError: there is no readable recording, a folder is empty, or a package that these
            files take is missing.
    """
    files = list_class_folders(root, SUFFIXES)
    features = _features(files.paths, options)
    subject_names, subject = _speakers(files.paths)
    decoder = ClipDecoder(features)
    return Dataset(
        samples=FileSamples(files.paths, features.shape, decoder.dtype, decoder.decode),
        y=files.y,
        class_names=files.class_names,
        subject=subject,
        subject_names=subject_names,
        split=_listed_split(root, files.paths) if files.split is None else files.split,
        preprocessing=features.record(),
    )


@dataclass(frozen=True)
class ClipDecoder:
    """Reads one file into features: resampled, then cut or filled to the length of a clip.

    A `Waveform` is resampled by soxr and centred. A `Spectrum` is resampled by `resample`, and cut
    or filled at its end.
    """

    features: Spectrum | Waveform

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a sample."""
        return np.dtype(np.int16 if isinstance(self.features, Waveform) else np.float32)

    def decode(self, path: Path) -> NDArray[Any]:
        """Read a recording.

        Raises:
            InputError: it cannot be read, or a package that it takes is missing.
        """
        samples, rate = read_recording(path)
        wanted = self.features.sample_rate
        if not 1 <= len(samples) * wanted / rate <= audio.MOST_SAMPLES:
            raise InputError(
                f"{path} cannot be resampled",
                got=f"{len(samples)} samples at {rate} Hz",
                expected=f"1 to {audio.MOST_SAMPLES} samples at {wanted} Hz",
            )
        if isinstance(self.features, Waveform):
            return self.features(audio.resample(samples, rate, wanted))
        if rate != wanted:
            samples = resample(samples, rate, wanted)
        clip = np.zeros(self.features.length, np.float32)
        kept = samples[: len(clip)]
        clip[: len(kept)] = kept
        return self.features(clip)


def read_recording(path: Path) -> Recording:
    """Read a recording: PCM .wav files as they are, all others with soundfile.

    Raises:
        InputError: it cannot be read, or soundfile is missing.
    """
    if path.suffix.lower() == ".wav":
        try:
            return read_wav(path)
        except InputError as error:
            # wave.Error: another encoding than PCM, or another format under this name
            if not (isinstance(error.__cause__, wave.Error) and audio.has_soundfile()):
                raise
    samples, rate = audio.decode(path)
    return Recording(samples.mean(axis=1), rate)


def length(path: Path) -> tuple[int, int]:
    """Return what the header of a recording says: (samples per channel, rate in Hz).

    Raises:
        InputError: it cannot be read, or soundfile is missing.
    """
    if path.suffix.lower() == ".wav":
        try:
            with wave.open(str(path), "rb") as file:
                return file.getnframes(), file.getframerate()
        except (OSError, EOFError, RuntimeError, wave.Error):
            pass  # soundfile may know it
    return audio.length(path)


def read_wav(path: Path) -> Recording:
    """Read a PCM file of 8, 16, 24 or 32 bits.

    Raises:
        InputError: it is damaged, empty, or compressed.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            content = file.readframes(file.getnframes())
    # RuntimeError: a chunk that reaches beyond the file
    except (OSError, EOFError, RuntimeError, wave.Error) as error:
        raise InputError(
            f"{path} cannot be read as a recording",
            got=str(error) or "a file that ends too early",
            expected="uncompressed PCM",
            hint='pip install "edgemeta[audio]" for other encodings, or convert it, for example '
            "with ffmpeg -i IN -c:a pcm_s16le OUT.wav",
        ) from error
    frame = width * channels
    raw: NDArray[np.uint8] = np.frombuffer(
        content[: len(content) // frame * frame], np.uint8
    ).reshape(-1, width)
    if width > 4:
        raise InputError(
            f"{path} cannot be read as a recording",
            got=f"samples of {width} bytes",
            expected="1 to 4 bytes",
        )
    audio.check_sound(path, raw, rate)
    if width == 2:  # nearly all files, so without a detour
        samples = raw.view("<i2")[:, 0] / np.float64(2**15)
    else:
        if width == 1:  # unsigned, others are signed
            raw = raw ^ np.uint8(0x80)
        # To the upper bytes of a little-endian 32-bit integer: (n, width) -> (n, 4) -> (n,)
        whole = np.zeros((len(raw), 4), np.uint8)
        whole[:, 4 - width :] = raw
        samples = whole.view("<i4")[:, 0] / np.float64(2**31)
    if channels > 1:
        samples = samples.reshape(-1, channels).mean(axis=1)
    return Recording(samples.astype(np.float32), rate)


def resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Bring a recording to another sample rate, by cutting or filling its Fourier spectrum.

    Args:
        samples: (n,).
        rate: theirs, in Hz.
        wanted: in Hz.

    Returns:
        (round(n * wanted / rate),).
    """
    count = max(1, round(len(samples) * wanted / rate))
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    changed = np.fft.irfft(spectrum, count) * (count / len(samples))
    return changed.astype(np.float32)


def _features(paths: Sequence[Path], options: DataOptions) -> Spectrum | Waveform:
    """Take what the options leave open from the defaults, and the rate of a spectrum from a file.

    Raises:
        InputError: the options do not fit, no file can be read, or a package that the first one
            takes is missing.
    """
    if any(path.suffix.lower() != ".wav" for path in paths):
        audio.import_soundfile()
    if options.features == "wave":
        wave_form = Waveform(
            options.sample_rate or Waveform.sample_rate, options.seconds or Waveform.seconds
        )
        if _first_rate(paths) != wave_form.sample_rate:
            audio.import_soxr()
        return wave_form
    return Spectrum(
        features=options.features or "mfcc",
        sample_rate=options.sample_rate or _first_rate(paths),
        seconds=options.seconds or Spectrum.seconds,
        window_ms=options.window or Spectrum.window_ms,
        hop_ms=options.hop or Spectrum.hop_ms,
        mels=options.mels or Spectrum.mels,
        coefficients=options.coefficients or Spectrum.coefficients,
    )


def _first_rate(paths: Sequence[Path]) -> int:
    """Return the rate of the first file that can be read."""
    refused: InputError | None = None
    for path in paths:
        try:
            return read_recording(path).rate
        except InputError as error:
            refused = refused or error
    raise refused or InputError("no recordings")


def _listed_split(root: Path, paths: Sequence[Path]) -> NDArray[np.int64] | None:
    """Read the split of Google's speech commands, if its two lists are there."""
    lists = {1: root / "validation_list.txt", 2: root / "testing_list.txt"}
    if not all(path.is_file() for path in lists.values()):
        return None
    part = {
        root / line.strip(): number
        for number, path in lists.items()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    return checked_split(str(root), np.array([part.get(path, 0) for path in paths]))


def _speakers(paths: Sequence[Path]) -> tuple[tuple[str, ...], NDArray[np.int64] | None]:
    """Number the speakers, if every file name has one."""
    if not all("_" in path.name for path in paths):
        return (), None
    return number([path.name.split("_", 1)[0] for path in paths])
