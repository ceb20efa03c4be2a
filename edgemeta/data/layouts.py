"""Recognise the layout of a user's data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgemeta.data import _images as images
from edgemeta.data import _wav as wav
from edgemeta.data._folders import class_folders
from edgemeta.data._idx import IDX_FILES, read_idx
from edgemeta.data._series import cut_windows, read_series_csv
from edgemeta.data.array_file import read_array_file, read_array_folder
from edgemeta.data.dataset import Dataset
from edgemeta.data.omniglot_files import FOLDERS as OMNIGLOT_FOLDERS
from edgemeta.data.options import DataOptions
from edgemeta.data.table import read_table
from edgemeta.errors import InputError

DATA_NAMES = tuple(IDX_FILES)
DATA_SUFFIXES = (".npz", ".csv")
_LAYOUTS = (
    "class/ or {train,val,test}/class/ with images or recordings, images/ with train.csv and "
    "test.csv, or x.npy with y.npy"
)

ALWAYS = ("draw", "test_only")  # apply to every layout
_WAVE_OPTIONS = ("features", "sample_rate", "seconds")
SPECTRUM_OPTIONS = (*_WAVE_OPTIONS, "mels", "coefficients", "window", "hop")
IMAGE_OPTIONS = ("image_size", "color", "fit")


@dataclass(frozen=True)
class Layout:
    """One way to lay data out.

    Attributes:
        name: what errors call it: "a folder of images per class".
        read: reads and checks it.
        options: the `DataOptions` that apply to it, besides `ALWAYS`.
    """

    name: str
    read: Callable[[DataOptions], Dataset]
    options: tuple[str, ...] = ()


def recognise(spec: str, root: Path | None, options: DataOptions) -> Layout | None:
    """Find out what `spec` names; only names of files are read.

    Args:
        spec: a name of `DATA_NAMES`, or the path of a file or a folder.
        root: for a name, where its data lies.
        options: checked against what was recognised.

    Returns:
        None if `spec` names no data at all.

    Raises:
        InputError: a folder has no known layout, or an option does not apply.
    """
    layout = _recognised(spec, root, options)
    if layout is not None:
        options.allow(layout.name, *ALWAYS, *layout.options)
    return layout


def completed(
    spec: str, root: Path | None, options: DataOptions, recorded: DataOptions
) -> DataOptions:
    """Return options with those left open as they are recorded, if they apply to the data.

    Args:
        spec: as for `recognise`.
        root: likewise.
        options: as given.
        recorded: such as those of a training.

    Raises:
        InputError: a folder has no known layout.

    Example:
        >>> recorded = DataOptions(color="gray", window=50)  # of a training on pictures
        >>> completed("photographs", None, DataOptions(image_size=16), recorded).color
        'gray'
    """
    merged = recorded.replaced_by(options)
    layout = _recognised(spec, root, merged)
    if layout is None:
        return options
    return recorded.only(*ALWAYS, *layout.options).replaced_by(options)


def _recognised(spec: str, root: Path | None, options: DataOptions) -> Layout | None:
    path = Path(spec)
    if spec not in DATA_NAMES and (path.suffix in DATA_SUFFIXES or path.is_dir()):
        if root is not None:
            raise InputError(f"{spec} takes no root", got=root, hint="omit --root")
        try:
            layout = _folder(path, options) if path.is_dir() else _file(path, options)
        except OSError as error:
            raise InputError(
                f"{path} cannot be listed", got=error.strerror, hint="check its permissions"
            ) from error
    elif spec in DATA_NAMES:
        if root is None:
            raise InputError(
                f"{spec} needs --root, the place of its data",
                hint=f"pass --root with the folder that holds {IDX_FILES[spec].folder}/raw",
            )
        layout = Layout(f"{spec}'s IDX files", partial(read_idx, spec, root))
    else:
        return None
    return layout


def _file(path: Path, options: DataOptions) -> Layout:
    if path.suffix == ".npz":
        return Layout(
            "an .npz file",
            lambda chosen: cut_windows(str(path), read_array_file(path), chosen),
            ("window", "hop"),
        )
    if not path.is_file():
        raise InputError("no such data file", got=path, hint="check the path")
    if options.task is not None:
        return Layout(
            "a regression table", partial(read_table, path), ("task", "target", "columns")
        )
    if options.window is not None:
        names = ("window", "hop", "columns", "label", "subject")
        return Layout("a CSV time series", partial(read_series_csv, path), names)
    raise InputError(
        f"{path} may be a time series or a regression table",
        expected="--window with the steps of a sample, or --task with the column of the tasks",
    )


def _folder(path: Path, options: DataOptions) -> Layout:
    if (path / "x.npy").is_file():
        return Layout(
            "a folder of .npy files",
            lambda chosen: cut_windows(str(path), read_array_folder(path), chosen),
            ("window", "hop"),
        )
    if (path / "train.csv").is_file() and (path / "test.csv").is_file():
        names = (*IMAGE_OPTIONS, "label")
        return Layout("images and CSV splits", partial(images.read_image_lists, path), names)
    if any((path / folder).is_dir() for folder in OMNIGLOT_FOLDERS):
        raise InputError(f"{path} holds Omniglot", hint=f"use omniglot with --root {path}")
    if any(next(path.glob(f"{place}*idx3-ubyte*"), None) for place in ("", "raw/", "*/raw/")):
        raise InputError(
            f"{path} holds IDX files",
            hint=f"name them, one of {', '.join(DATA_NAMES)}, with --root {path}",
        )
    found = _suffixes_in_classes(path)
    pictures, sounds = found & images.SUFFIXES, found & wav.SUFFIXES
    if pictures and sounds:
        raise InputError(
            f"{path} holds both images and recordings",
            got=", ".join(sorted(pictures | sounds)),
            expected="one kind of files in the folders of the classes",
        )
    if pictures:
        reader = partial(images.read_image_folders, path)
        return Layout("a folder of images per class", reader, IMAGE_OPTIONS)
    if sounds:
        reader = partial(wav.read_wav_folders, path)
        if options.features == "wave":
            return Layout("a folder of recordings, as waveforms", reader, _WAVE_OPTIONS)
        return Layout("a folder of recordings per class", reader, SPECTRUM_OPTIONS)
    raise InputError(
        f"{path} has no known layout",
        got=f"files that end in {', '.join(sorted(found))}" if found else "no folders with files",
        expected=_LAYOUTS,
    )


def _suffixes_in_classes(path: Path) -> set[str]:
    """Return how the names of the files in the folders of the classes end, in lower case."""
    return {
        os.path.splitext(entry.name)[1].lower()
        for _, folder in class_folders(path)
        for entry in os.scandir(folder)
        if entry.is_file() and not entry.name.startswith(".")
    }
