"""What `selftest.safetensors` keeps of recorded results: small ones whole, of large ones samples.

A record of every adapted weight would be as large as the weights. Of a large tensor the file has
one value of each block of 512, at a place that is drawn from a seed, and the block's root mean
square: a kernel that computes something else for some rows, channels or borders meets some of
these places, and what lies between them changes the root mean squares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle import BLOCK
from edgemeta.bundle.selftest import root_mean_squares

# Bytes of results that are kept whole, however large the model is, and for each byte of its
# weights. With samples of the rest (12 bytes for 2048) and the episode (`selftest.ROOM`) a file has
# at most 3.1 % of the weights and 16 kB: the graphs and the manifest have what is left of 5 % and
# 100 kB (`python -m benchmarks.bundle_size`).
WHOLE, WHOLE_SHARE = 8_000, 0.01

Arrays = dict[str, NDArray[np.generic]]


def kept(
    results: Mapping[str, NDArray[np.float32]], always: Collection[str], room: float
) -> Arrays:
    """Return what a file keeps of results, by the names that it has there.

    Args:
        results: by name.
        always: names of those that are kept whole, whatever their size.
        room: bytes; the smallest results are whole that fit into it.
    """
    rng = np.random.default_rng(0)
    found: Arrays = {}
    whole = 0
    for name, array in sorted(results.items(), key=lambda each: (each[1].size, each[0])):
        whole += array.nbytes
        # A sample of one block would take as much as a small tensor, with its names.
        if name in always or array.size <= BLOCK // 4 or whole <= room:
            found[name] = array
        else:
            found |= sampled(name, array, rng)
    return found


def sampled(name: str, array: NDArray[np.float32], rng: np.random.Generator) -> Arrays:
    """Return what is kept of a large result, by its names: see `Sampled` of the reader."""
    flat = array.reshape(-1)
    starts = np.arange(0, flat.size, BLOCK)
    places = starts + rng.integers(np.minimum(BLOCK, flat.size - starts))
    largest = int(np.abs(flat).argmax())  # what the tolerance is a share of
    places[largest // BLOCK] = largest
    parts = (flat[places], places.astype(np.int32), root_mean_squares(flat).astype(np.float32))
    return dict(zip(bundle.sample_names(name), parts, strict=True))
