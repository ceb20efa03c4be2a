"""Reading the Omniglot drawings: the official folders of PNG files, or one .npz of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemeta.data._images import ImageDecoder
from edgemeta.data.array_file import read_array_file
from edgemeta.errors import InputError

SIDE = 28
FOLDERS = ("images_background", "images_evaluation")
NPZ_NAME = "omniglot28.npz"


class Drawings(NamedTuple):
    """All drawings of a set of characters.

    Attributes:
        x: (N, 28, 28) uint8, ink = 255.
        y: (N,) int64 index of the character in `names`.
        names: "Alphabet/characterNN".
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    names: tuple[str, ...]


def read_drawings(root: Path) -> Drawings:
    """Read Omniglot from wherever `root` points.

    Args:
        root: an .npz file; or a folder with `omniglot28.npz`; or a folder with the official
            `images_background` and `images_evaluation`, which takes pillow and some ten
            seconds.

    Raises:
        InputError: there is none of these, a file is damaged, or pillow is missing.
    """
    if root.suffix == ".npz":
        return _read_npz(root)
    if (root / NPZ_NAME).is_file():
        return _read_npz(root / NPZ_NAME)
    if any((root / folder).is_dir() for folder in FOLDERS):
        return _read_folders(root)
    raise InputError(
        "no Omniglot data",
        got=root if root.exists() else f"{root}, which does not exist",
        expected=f"a folder with {' and '.join(FOLDERS)}, or with {NPZ_NAME}, or an .npz file",
        hint="unpack images_background.zip and images_evaluation.zip of brendenlake/omniglot there",
    )


def _read_npz(path: Path) -> Drawings:
    file = read_array_file(path)
    samples = file.samples
    if samples.dtype != np.uint8 or samples.shape != (SIDE, SIDE):
        raise InputError(
            f"{path}: x does not hold Omniglot drawings",
            got=f"shape {(len(samples), *samples.shape)}, dtype {samples.dtype}",
            expected=f"(N, {SIDE}, {SIDE}) uint8, ink = 255",
        )
    return Drawings(samples.read(np.arange(len(samples))), file.y, file.class_names)


def _read_folders(root: Path) -> Drawings:
    """Read `<folder>/<Alphabet>/<characterNN>/*.png`, characters and drawers in order of name."""
    decode = ImageDecoder(SIDE, SIDE, "gray", invert=True).decode
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    names: list[str] = []
    for folder in FOLDERS:
        for character in sorted((root / folder).glob("*/*/")):
            drawings = sorted(character.glob("*.png"))
            labels += [len(names)] * len(drawings)
            names.append(f"{character.parent.name}/{character.name}")
            images += [decode(path) for path in drawings]
    if not images:
        raise InputError(
            f"{root} has no drawings",
            expected="files such as images_background/Latin/character01/0683_01.png",
            hint="unpack the two zip files of brendenlake/omniglot there",
        )
    return Drawings(np.stack(images), np.array(labels, dtype=np.int64), tuple(names))
