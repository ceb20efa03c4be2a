"""The IDX files of MNIST and similar data sets, as torchvision stores them.

Ours, because the format is a header of 16 bytes, and torchvision's reader brings torch.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.dataset import Dataset, JoinedSamples, Samples, check_classes, number
from edgemeta.data.options import DataOptions
from edgemeta.errors import InputError

_UBYTE = 8  # the third byte of the magic number: the type of the elements


@dataclass(frozen=True)
class IdxFiles:
    """Where a data set lies, and how.

    Attributes:
        folder: torchvision's folder for it.
        prefix: in front of the names of its files.
        test: how it calls its test part.
        transposed: whether rows and columns of its images are swapped on disk.
    """

    folder: str
    prefix: str = ""
    test: str = "t10k"
    transposed: bool = False


EMNIST_SPLITS = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")
IDX_FILES = {
    "mnist": IdxFiles("MNIST"),
    "fashion-mnist": IdxFiles("FashionMNIST"),
    "kmnist": IdxFiles("KMNIST"),
} | {
    f"emnist-{split}": IdxFiles("EMNIST", f"emnist-{split}-", test="test", transposed=True)
    for split in EMNIST_SPLITS
}


def read_idx(name: str, root: Path, options: DataOptions) -> Dataset:
    """Open a data set of IDX files, plain (memory-mapped) or .gz (decompressed to memory).

    Samples are upright uint8 (28, 28), bright on dark. The files' training and test part become
    `split` 0 and 2. Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File
    formats"; that EMNIST's images are transposed: G. Cohen et al., "EMNIST: an extension of MNIST
    to handwritten letters", 2017, whose files are those of Matlab.

    Args:
        name: a key of `IDX_FILES`.
        root: the folder of the files, or one above it: `raw/`, `MNIST/raw/`, and so on.
        options: none has a meaning here.

    Raises:
        InputError: a file is missing or damaged.
    """
    files = IDX_FILES[name]
    parts: list[Samples] = []
    labels: list[NDArray[Any]] = []
    for part in ("train", files.test):
        images_path = _find(name, root, f"{files.prefix}{part}-images-idx3-ubyte")
        labels_path = _find(name, root, f"{files.prefix}{part}-labels-idx1-ubyte")
        images, own = _read(images_path, 3), _read(labels_path, 1)
        if len(images) != len(own):
            raise InputError(
                f"{labels_path} does not fit {images_path.name}",
                got=f"{len(own)} labels",
                expected=len(images),
                hint="fetch both files again",
            )
        parts.append(_IdxSamples(images, files.transposed))
        labels.append(np.asarray(own))
    if parts[0].shape != parts[1].shape:
        raise InputError(
            f"{root}: images of two sizes", got=f"{parts[0].shape} and {parts[1].shape}"
        )
    class_names, y = number(np.concatenate(labels))
    check_classes(name, class_names, "its labels")
    split = np.repeat(np.array([0, 2], np.int64), [len(part) for part in parts])
    return Dataset(JoinedSamples(parts), y, class_names, split=split)


class _IdxSamples(Samples):
    """The images of one file."""

    dtype = np.dtype(np.uint8)

    def __init__(self, images: NDArray[np.uint8], transposed: bool) -> None:
        self._images = images.transpose(0, 2, 1) if transposed else images
        self.shape = self._images.shape[1:]

    def __len__(self) -> int:
        return len(self._images)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return np.ascontiguousarray(self._images[rows])


def _find(name: str, root: Path, file: str) -> Path:
    """Find a file, .gz or not, in the folders where it may lie."""
    folder = IDX_FILES[name].folder
    for place in (".", "raw", f"{folder}/raw", folder, "gzip"):
        for suffix in ("", ".gz"):
            if (path := root / place / f"{file}{suffix}").is_file():
                return path
    raise InputError(
        f"no {name} data",
        got=root if root.exists() else f"{root}, which does not exist",
        expected=f"{folder}/raw/{file}, or .gz, in it",
        hint=f"pass --root with the folder that holds {folder}/raw, or with that folder itself",
    )


def _read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes with so many dimensions.

    Format: two zero bytes, type, number of dimensions, each size as big-endian 32 bits, elements.
    """
    header = 4 + 4 * dimensions
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content: NDArray[np.uint8] = np.frombuffer(stream.read(), np.uint8)
        else:
            content = np.memmap(path, np.uint8, "r")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} cannot be read", got=error, hint="fetch it again") from error
    begin = np.asarray(content[:header])
    sizes = tuple(begin[4:].view(">u4").tolist()) if len(begin) == header else ()
    expected = [0, 0, _UBYTE, dimensions]
    if begin[:4].tolist() != expected or len(content) != header + int(np.prod(sizes)):
        raise InputError(
            f"{path} is damaged, or no IDX file",
            got=f"{len(content)} bytes that begin with {begin[:4].tolist()}, sizes {sizes}",
            expected=f"{expected}, then the sizes, then as many bytes as they say",
            hint="fetch it again",
        )
    return content[header:].reshape(sizes)
