"""Images as samples: decoded when they are asked for, brought to one size and colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data._folders import Listing, list_class_folders, list_csv_parts
from edgemeta.data.dataset import Dataset
from edgemeta.data.file_samples import FileSamples
from edgemeta.data.options import Color, DataOptions, Fit
from edgemeta.errors import InputError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_MODE = {"gray": "L", "rgb": "RGB"}
_GRAY_MODES = ("1", "L", "LA", "La")
# 16 or 32 bits for a pixel: pillow would clip, not scale them.
_DEEP_MODES = ("I", "F")


def read_image_folders(root: Path, options: DataOptions) -> Dataset:
    """Open a folder of images per class: `class/*` or `{train,val,test}/class/*`.

    Raises:
        InputError: there is no readable image, a folder is empty, or pillow is missing.
    """
    return _dataset(list_class_folders(root, SUFFIXES), options)


def read_image_lists(root: Path, options: DataOptions) -> Dataset:
    """Open `images/` and the lists `{train,val,test}.csv`; see `list_csv_parts`.

    Raises:
        InputError: there is no readable image, a list is wrong, or pillow is missing.
    """
    return _dataset(list_csv_parts(root, options.label or "label"), options)


@dataclass(frozen=True)
class ImageDecoder:
    """Reads one image as uint8 (height, width) for gray, (height, width, 3) for rgb.

    Attributes:
        height: in pixels.
        width: likewise.
        color: "gray" or "rgb".
        fit: what becomes of images of another shape: "squash" scales both sides, "crop" keeps as
            much of the middle as has the shape, and scales that.
        invert: make the dark high: drawings in dark ink become ink = 255 on 0.
    """

    height: int
    width: int
    color: Color
    fit: Fit = "squash"
    invert: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return (self.height, self.width) + ((3,) if self.color == "rgb" else ())

    def decode(self, path: Path) -> NDArray[Any]:
        """Read an image.

        Raises:
            InputError: it cannot be read, or pillow is missing.
        """
        pillow = import_pillow()
        image = _open(path, pillow)
        image = image.convert(_MODE[self.color])
        if self.invert:
            image = image.point(lambda value: 255 - value)
        size = (self.width, self.height)
        if image.size != size and self.fit == "crop":
            from PIL import ImageOps

            image = ImageOps.fit(image, size, pillow.Resampling.LANCZOS)
        elif image.size != size:
            image = image.resize(size, pillow.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8)


def _dataset(files: Listing, options: DataOptions) -> Dataset:
    decoder = _decoder(files, options)
    return Dataset(
        samples=FileSamples(files.paths, decoder.shape, np.dtype(np.uint8), decoder.decode),
        y=files.y,
        class_names=files.class_names,
        split=files.split,
        preprocessing={
            "image_size": [decoder.height, decoder.width],
            "color": decoder.color,
            "resampling": "lanczos",
            "fit": decoder.fit,
        },
    )


def _decoder(files: Listing, options: DataOptions) -> ImageDecoder:
    """Take what the options do not set from the first image that can be read."""
    pillow = import_pillow()
    refused: InputError | None = None
    for path in files.paths:
        try:
            image = _open(path, pillow)
        except InputError as error:
            refused = refused or error
            continue
        width, height = image.size
        color = options.color or ("gray" if image.mode in _GRAY_MODES else "rgb")
        return ImageDecoder(
            options.image_size or height,
            options.image_size or width,
            color,
            options.fit or "squash",
        )
    raise refused or InputError("no images")


def _open(path: Path, pillow: ModuleType) -> Any:
    """Decode an image, turned upright as its EXIF orientation says.

    Raises:
        InputError: it cannot be read, or has more than 8 bits per channel.
    """
    from PIL import ImageOps

    try:
        with pillow.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    # SyntaxError: pillow's "broken PNG"
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as an image", got=error, hint="repair or remove it"
        ) from error
    if upright.mode.startswith(_DEEP_MODES):
        raise InputError(
            f"{path} has too many bits per pixel",
            got=f"pillow's mode {upright.mode}",
            expected="8 bits per channel",
            hint="convert the images, scaled as you need them",
        )
    return upright


def import_pillow() -> ModuleType:
    """Import pillow's Image.

    Raises:
        InputError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise InputError(
            "reading image files needs pillow, which is not installed",
            hint='pip install "edgemeta[images]"',
        ) from error
    return Image
