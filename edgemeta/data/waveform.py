"""Waveforms as samples, for networks that compute their features themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data._audio import RESAMPLER
from edgemeta.errors import InputError

FULL_SCALE = 2**15


@dataclass(frozen=True)
class Waveform:
    """How a recording becomes int16 samples, as 16-bit wav files hold them.

    A shorter recording is centred in silence, of a longer one the middle is kept. A 16-bit file at
    `sample_rate` keeps its numbers; others are scaled, rounded, and clipped at full scale.

    Attributes:
        sample_rate: in Hz, to which soxr resamples.
        seconds: length of a sample.

    Raises:
        InputError: no sample fits.

    Example:
        >>> Waveform(sample_rate=4, seconds=1.5)(np.array([0.5, -1.0], np.float32))
        array([     0,      0,  16384, -32768,      0,      0], dtype=int16)
    """

    sample_rate: int = 16_000
    seconds: float = 1.28

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or self.length < 1:
            raise InputError(
                "--seconds and --sample-rate leave no samples",
                got=f"{self.seconds} s at {self.sample_rate} Hz",
                expected="one sample or more",
            )

    @property
    def length(self) -> int:
        """Numbers in a sample."""
        return round(self.seconds * self.sample_rate)

    @property
    def shape(self) -> tuple[int]:
        """(length,)."""
        return (self.length,)

    def record(self) -> dict[str, Any]:
        """Return all that a device needs to do the same."""
        return {
            "features": "wave",
            **asdict(self),
            "align": "center",
            "channels": "mean",
            "resampler": RESAMPLER,
        }

    def __call__(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.int16]:
        """Cut or fill a recording.

        Args:
            samples: (n,) at `sample_rate`, full scale = 1.

        Returns:
            (length,).
        """
        surplus = len(samples) - self.length
        kept = samples[max(0, surplus // 2) :][: self.length]
        clip = np.zeros(self.length, np.int16)
        start = max(0, -surplus // 2)
        whole = np.rint(np.clip(kept * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1))
        clip[start : start + len(kept)] = whole
        return clip
