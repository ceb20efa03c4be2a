"""Recordings of any kind: soundfile decodes all but PCM .wav, soxr changes the sample rate.

The standard library's wave reads PCM .wav, so that a device needs neither of them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

# What libsndfile reads and a name can tell; headerless and instrument formats are left out.
SUFFIXES = frozenset(
    {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"}
)
RESAMPLER = "soxr HQ"
MOST_SAMPLES = 2**28  # of one recording: no damaged header is to ask for all memory


def decode(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode a recording with soundfile.

    Returns:
        (n, channels), full scale = 1, n > 0; and the rate in Hz.

    Raises:
        InputError: it cannot be read, or soundfile is missing.
    """
    soundfile = import_soundfile()
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames * file.channels > MOST_SAMPLES:
                raise ValueError(f"{file.frames} samples")
            rate = int(file.samplerate)
            samples: NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
    # RuntimeError: whatever libsndfile complains of
    except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise InputError(
            f"{path} cannot be read as a recording", got=error, hint="repair or remove it"
        ) from error
    check_sound(path, samples, rate)
    return samples, rate


def check_sound(path: Path, samples: NDArray[Any], rate: int) -> None:
    """Check what was decoded, by whatever.

    Args:
        path: of the recording.
        samples: (n,) or (n, channels).
        rate: in Hz.

    Raises:
        InputError: it is empty, or no sound.
    """
    wrong = "" if np.isfinite(samples).all() else "nan or infinity"
    if not len(samples):
        wrong = "no samples"
    elif rate < 1:
        wrong = f"{rate} Hz"
    if wrong:
        raise InputError(
            f"{path} cannot be read as a recording", got=wrong, hint="repair or remove it"
        )


def length(path: Path) -> tuple[int, int]:
    """Return what the header of a recording says: (samples per channel, rate in Hz).

    Raises:
        InputError: it cannot be read, or soundfile is missing.
    """
    soundfile = import_soundfile()
    try:
        found = soundfile.info(path)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a recording", got=error) from error
    return int(found.frames), int(found.samplerate)


def resample(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """Bring a recording to another sample rate with soxr, in its high quality ("HQ").

    Args:
        samples: (n,).
        rate: theirs, in Hz.
        wanted: in Hz.

    Returns:
        (about n * wanted / rate,); `samples` itself where the rates are equal.

    Raises:
        InputError: soxr is missing.
    """
    if rate == wanted:
        return samples
    changed: NDArray[np.float32] = import_soxr().resample(samples, rate, wanted, quality="HQ")
    return changed


def has_soundfile() -> bool:
    """Whether recordings other than PCM .wav can be read here."""
    try:
        import_soundfile()
    except InputError:
        return False
    return True


def import_soundfile() -> ModuleType:
    """Import soundfile.

    Raises:
        InputError: it is not installed.
    """
    return _imported("soundfile", "reading recordings other than PCM .wav")


def import_soxr() -> ModuleType:
    """Import soxr.

    Raises:
        InputError: it is not installed.
    """
    return _imported("soxr", "changing the sample rate of recordings")


def _imported(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: without the library that it wraps
        raise InputError(
            f"{what} needs {name}, which is not installed", hint='pip install "edgemeta[audio]"'
        ) from error
