"""How long recordings are, and at which rates: what their headers say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from edgemeta.data._wav import length
from edgemeta.data.dataset import Dataset
from edgemeta.data.file_samples import FileSamples
from edgemeta.errors import InputError


@dataclass(frozen=True)
class ClipReport:
    """The recordings of a data set, beside the window that a sample is of.

    Attributes:
        rates: (Hz, how many recordings) of each rate, the most frequent first.
        seconds: of the shortest, median and longest recording.
        window: seconds of a sample.
        shorter: recordings that are filled with silence.
        longer: recordings that are cut.
    """

    rates: tuple[tuple[int, int], ...]
    seconds: tuple[float, float, float]
    window: float
    shorter: int
    longer: int


def measure_clips(dataset: Dataset) -> ClipReport | None:
    """Measure the recordings whose header can be read; None where there are none."""
    record, samples = dataset.preprocessing, dataset.samples
    if "features" not in record or not isinstance(samples, FileSamples):
        return None
    found = []
    for path in samples.paths:
        try:
            frames, rate = length(path)
        except InputError:
            continue  # whoever reads all samples reports it
        if frames > 0 and rate > 0:
            found.append((frames, rate))
    if not found:
        return None
    counts, rates = np.array(found, np.float64).T
    surplus = np.rint(counts * record["sample_rate"] / rates) - round(
        record["seconds"] * record["sample_rate"]
    )
    seconds = counts / rates
    return ClipReport(
        rates=tuple(Counter(rate for _, rate in found).most_common()),
        seconds=(float(seconds.min()), float(np.median(seconds)), float(seconds.max())),
        window=record["seconds"],
        shorter=int((surplus < 0).sum()),
        longer=int((surplus > 0).sum()),
    )
