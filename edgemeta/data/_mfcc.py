"""Log-mel spectra and MFCC: what speech commands are learned from.

Ours, because librosa brings numba and scipy and torchaudio brings torch, which no device has.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

Spectra = Literal["mfcc", "logmel"]
LOWEST_HZ = 20.0
# Added to each band's energy before the logarithm: silence stays finite, speech is not touched.
LOG_OFFSET = 1e-6


@dataclass(frozen=True)
class Spectrum:
    """How a clip becomes features.

    A frame f of `window` samples, weighted by a periodic Hann window w and filled with zeros to
    n_fft, the next power of two, has the power spectrum P = |rfft(w f)|². Frames begin every `hop`
    samples as long as they fit; nothing is padded. With the triangular filters B below,

        logmel[m] = ln(sum_i B[m, i] P[i] + 1e-6)
        mfcc[k]   = sqrt(2 / mels) * (1 / sqrt(2) if k = 0 else 1)
                    * sum_m logmel[m] cos(pi k (m + 1/2) / mels)

    which is the orthonormal DCT-II. No pre-emphasis, no liftering. The filters' corners are evenly
    spaced on the mel scale of HTK, mel = 2595 log10(1 + f / 700), from 20 Hz to half the sample
    rate; a filter rises from 0 at its left corner to 1 at the middle and falls to 0 at its right
    one, linearly in mel.

    Source: S. Young et al., "The HTK Book", version 3.4, section 5.4 (filter bank, equation 5.13),
    5.6 (cepstra, equation 5.14, here with the zeroth scaled as well, so that the transform is
    orthonormal). Clips of 1 s at 16 kHz in windows of 40 ms every 20 ms, 10 coefficients, are the
    49 x 10 of Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017.

    Attributes:
        features: "mfcc" or "logmel".
        sample_rate: of the clips, in Hz.
        seconds: length of the clips.
        window_ms: length of a frame.
        hop_ms: from one frame to the next.
        mels: filters.
        coefficients: MFCC that are kept; ignored for "logmel".

    Raises:
        InputError: unknown features, no frame fits, or there are too many filters or coefficients.
    """

    features: Spectra = "mfcc"
    sample_rate: int = 16_000
    seconds: float = 1.0
    window_ms: int = 40
    hop_ms: int = 20
    mels: int = 40
    coefficients: int = 10

    def __post_init__(self) -> None:
        if self.features not in get_args(Spectra):
            raise InputError(
                "unknown spectrum", got=repr(self.features), expected=" or ".join(get_args(Spectra))
            )
        if self.hop < 1 or self.window < 2 or self.window > self.length:
            raise InputError(
                "--window and --hop do not fit the clips",
                got=f"{self.window} and {self.hop} of {self.length} samples",
                expected="a window within the clip, and a hop of a sample or more",
            )
        if self.features == "mfcc" and self.coefficients > self.mels:
            raise InputError(
                "more --coefficients than --mels", got=self.coefficients, expected=self.mels
            )
        if not self._filters.any(axis=1).all():
            raise InputError(
                "too many --mels for the window: a filter is narrower than the spectrum's step",
                got=self.mels,
                hint="take fewer, or a longer --window",
            )

    @property
    def length(self) -> int:
        """Samples of a clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return self.window_ms * self.sample_rate // 1000

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return self.hop_ms * self.sample_rate // 1000

    @property
    def shape(self) -> tuple[int, int]:
        """(frames, coefficients) or (frames, mels)."""
        frames = 1 + (self.length - self.window) // self.hop
        return frames, self.coefficients if self.features == "mfcc" else self.mels

    def record(self) -> dict[str, Any]:
        """Return all that a device needs to compute the same."""
        return asdict(self) | {
            "n_fft": self._n_fft,
            "taper": "hann, periodic",
            "mel_scale": "htk",
            "lowest_hz": LOWEST_HZ,
            "highest_hz": self.sample_rate / 2,
            "log_offset": LOG_OFFSET,
        }

    def __call__(self, clip: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Compute the features of a clip.

        Args:
            clip: (length,), full scale = 1.

        Returns:
            (*shape) float32.
        """
        frames = np.lib.stride_tricks.sliding_window_view(clip, self.window)[:: self.hop]
        power = np.abs(np.fft.rfft(frames * self._taper, self._n_fft)) ** 2  # (frames, bins)
        logmel = np.log(power @ self._filters.T + LOG_OFFSET)  # (frames, mels)
        if self.features == "mfcc":
            return (logmel @ self._cosines.T).astype(np.float32)
        return logmel.astype(np.float32)

    @property
    def _n_fft(self) -> int:
        return int(2 ** np.ceil(np.log2(self.window)))

    @cached_property
    def _taper(self) -> NDArray[np.float64]:
        taper: NDArray[np.float64] = np.hanning(self.window + 1)[:-1]
        return taper

    @cached_property
    def _filters(self) -> NDArray[np.float64]:
        """(mels, bins)."""
        corners = np.linspace(_mel(LOWEST_HZ), _mel(self.sample_rate / 2), self.mels + 2)
        bins = _mel(np.fft.rfftfreq(self._n_fft, 1 / self.sample_rate))
        place = (bins - corners[:-2, None]) / (corners[1] - corners[0])  # 1 in a filter's middle
        filters: NDArray[np.float64] = np.clip(1 - np.abs(place - 1), 0, None)
        return filters

    @cached_property
    def _cosines(self) -> NDArray[np.float64]:
        """(coefficients, mels)."""
        k, m = np.arange(self.coefficients)[:, None], np.arange(self.mels)
        cosines: NDArray[np.float64] = np.sqrt(2 / self.mels) * np.cos(
            np.pi * k * (m + 0.5) / self.mels
        )
        cosines[0] /= np.sqrt(2)
        return cosines


def _mel(hertz: Any) -> Any:
    return 2595 * np.log10(1 + np.asarray(hertz) / 700)
