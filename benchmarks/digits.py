"""Write handwritten digits in the layout of MNIST's files.

python -m benchmarks.digits OUT

They are scikit-learn's: 1797 digits of 8 x 8 pixels, 0 to 16, by 43 people (E. Alpaydin, C. Kaynak,
"Optical Recognition of Handwritten Digits", UCI 1998, CC BY 4.0), enlarged to 28 x 28, bright on
dark. Real digits for `edgemeta eval RUN mnist --root OUT --test-only`, where there is no network.
"""

from __future__ import annotations

import struct
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

SIDE, MARGIN = 28, 4  # MNIST's digits, too, have a margin of four pixels
MOST_INK = 16
UBYTE = 8  # IDX's number for unsigned bytes
TRAIN = 1437  # four fifths; the rest is called the test part


def enlarged(images: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return (N, 28, 28) images of (N, 8, 8) ones."""
    inner = (SIDE - 2 * MARGIN,) * 2
    made = np.zeros((len(images), SIDE, SIDE), np.uint8)
    for image, digit in zip(made, images, strict=True):
        small = Image.fromarray((digit * (255 / MOST_INK)).astype(np.uint8))
        image[MARGIN:-MARGIN, MARGIN:-MARGIN] = np.asarray(
            small.resize(inner, Image.Resampling.BICUBIC)
        )
    return made


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an IDX file of bytes."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, UBYTE, array.ndim, *array.shape)
    path.write_bytes(head + array.tobytes())


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
def main(out: Path) -> None:
    """Write four files."""
    out.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images, labels = enlarged(digits.images), digits.target.astype(np.uint8)
    for part, rows in (("train", slice(None, TRAIN)), ("t10k", slice(TRAIN, None))):
        write_idx(out / f"{part}-images-idx3-ubyte", images[rows])
        write_idx(out / f"{part}-labels-idx1-ubyte", labels[rows])


if __name__ == "__main__":
    main()
