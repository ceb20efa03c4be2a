"""Find files and their classes: a folder per class, or lists of files as CSV."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.csv_file import read_csv
from edgemeta.data.dataset import check_classes, checked_split, number
from edgemeta.errors import InputError

# How folders and lists call the three parts.
PARTS: Mapping[str, int] = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Listing:
    """N files.

    Attributes:
        paths: N of them.
        y: (N,) int64 class ids, 0..C-1 without gaps.
        class_names: C names, sorted.
        split: (N,) int64, 0 = train, 1 = val, 2 = test, or None.
    """

    paths: tuple[Path, ...]
    y: NDArray[np.int64]
    class_names: tuple[str, ...]
    split: NDArray[np.int64] | None


def class_folders(root: Path) -> list[tuple[int | None, Path]]:
    """Find the folders of the classes, `class/` or `{train,val,test}/class/`, in order of name.

    Folders whose name begins with "." or "_" (Google's `_background_noise_`) are left alone.

    Returns:
        (the number of its part or None, the folder) of each.

    Raises:
        InputError: there is a train part and no test part, or the other way round.
    """
    folders = _subfolders(root)
    if not folders or not {folder.name for folder in folders} <= set(PARTS):
        return [(None, folder) for folder in folders]
    if not {"train", "test"} <= {folder.name for folder in folders}:
        raise InputError(
            f"{root} names only some of its parts",
            got=", ".join(folder.name for folder in folders),
            expected="train and test, and val if there is one",
            hint="or put the folders of the classes side by side, and they are divided by a seed",
        )
    return [(PARTS[part.name], folder) for part in folders for folder in _subfolders(part)]


def list_class_folders(root: Path, suffixes: frozenset[str], least: int = 2) -> Listing:
    """List the files with one of `suffixes` in the folders of the classes, in order of name.

    Raises:
        InputError: a folder has none, or there are fewer than `least` classes.
    """
    paths: list[Path] = []
    names: list[str] = []
    parts: list[int] = []
    for part, folder in class_folders(root):
        own = files_in(folder, suffixes)
        if not own:
            raise InputError(
                f"{folder} has no file to read",
                expected=f"files that end in {', '.join(sorted(suffixes))}",
                hint="remove the folder, or begin its name with _",
            )
        paths += own
        names += [folder.name] * len(own)
        parts += [-1 if part is None else part] * len(own)
    class_names, y = number(names)
    check_classes(str(root), class_names, "its folders", least)
    split = None if parts[0] < 0 else checked_split(str(root), np.array(parts))
    return Listing(tuple(paths), y, class_names, split)


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files of a folder that end in one of `suffixes`, in order of name."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if os.path.splitext(e.name)[1].lower() in suffixes]
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def list_csv_parts(root: Path, label: str) -> Listing:
    """List the files that `{train,val,test}.csv` name, as miniImageNet's splits do.

    Args:
        root: a folder with `images/` and the lists, whose column `filename` is a path within
            `images/`.
        label: the column with the class.

    Raises:
        InputError: a list or a file is missing, or has another form.
    """
    paths: list[Path] = []
    names: list[str] = []
    parts: list[int] = []
    for stem, part in PARTS.items():
        if (root / f"{stem}.csv").is_file():
            columns = read_csv(root / f"{stem}.csv", text=("filename", label), numbers=()).text
            paths += [root / "images" / name for name in columns["filename"]]
            names += columns[label]
            parts += [part] * len(columns[label])
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"{root}: the lists name files that are not there",
            got=f"{len(missing)} of {len(paths)} missing, the first {missing[0]}",
            expected='"filename" to be a path within images/',
            hint="unpack the images again, or take these lines out",
        )
    class_names, y = number(names)
    check_classes(str(root), class_names, label)
    return Listing(tuple(paths), y, class_names, checked_split(str(root), np.array(parts)))


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_dir() and e.name[0] not in "._"]
    return [folder / name for name in sorted(names)]
