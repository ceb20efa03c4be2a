"""Samples for a bundle from what people have: arrays, a folder of files, a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import Manifest
from edgemeta.bundle.state import Label
from edgemeta.data._arrays import read_npy, read_npz, require
from edgemeta.data._folders import class_folders, files_in, list_class_folders
from edgemeta.data._series import read_series_csv
from edgemeta.data.csv_file import read_csv, read_header
from edgemeta.data.recorded import FileKind, file_kind, label_column, names, series_options
from edgemeta.errors import InputError

FORMATS = ".npz, .csv, or a folder with a folder of files per class"


@dataclass(frozen=True)
class Samples:
    """What was read.

    Attributes:
        x: (n, *input_shape).
        y: (n,) names of classes or integer labels, or (n, *target_shape) targets; None if unknown.
        files: the n files that the samples were read from; None where they are no files.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    files: tuple[str, ...] | None = None

    @property
    def named(self) -> bool:
        """Whether `y` holds names of classes."""
        return self.y is not None and self.y.dtype.kind == "U"


def read_support(path: Path, manifest: Manifest) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read a support set: an .npz with x and y, a folder of files per class, or a CSV.

    Args:
        path: the file or folder.
        manifest: of the bundle; what training did to raw data is done here as well.

    Returns:
        x and y, see `Samples`.

    Raises:
        InputError: it cannot be read, does not fit the bundle, or names no classes.
        BundleError: the bundle's record of its training is damaged.
    """
    _check_exists(path)
    if path.is_dir():
        kind = file_kind(manifest)
        if not class_folders(path):
            raise InputError(
                f"{path} has no folders",
                expected=f"a folder of {kind.name} for each class, whose name is the folder's",
            )
        found = _classes(path, kind)
    elif path.suffix.lower() == ".csv":
        found = _table(path, manifest, labelled=True)
    elif path.suffix.lower() == ".npz":
        found = _arrays(path, required=("x", "y"))
    else:
        raise InputError(f"{path} is of no kind that can be read", expected=FORMATS)
    return found.x, cast("NDArray[Any]", found.y)  # required of each of them


def read_inputs(path: Path, manifest: Manifest) -> Samples:
    """Read what is to be predicted.

    Args:
        path: as for `read_support`, where classes and targets may be missing; or a folder of files
            that are of no known class, or one file, or an .npy.
        manifest: of the bundle.

    Raises:
        InputError: it cannot be read, or does not fit the bundle.
        BundleError: the bundle's record of its training is damaged.
    """
    _check_exists(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        kind = file_kind(manifest)
        files = files_in(path, kind.suffixes)
        if not files and class_folders(path):
            return _classes(path, kind)
        return _files(path, files, kind)
    if suffix == ".npy":
        return Samples(read_npy(path), None)
    if suffix == ".csv":
        return _table(path, manifest, labelled=False)
    if suffix == ".npz":
        return _arrays(path, required=("x",))
    kind = file_kind(manifest)
    if suffix not in kind.suffixes:
        raise InputError(
            f"{path} is of no kind that can be read",
            expected=f"{FORMATS}, or one of the {kind.name}",
        )
    return _files(path.parent, [path], kind)


def number_classes(
    found: NDArray[Any], known: Sequence[Label]
) -> tuple[tuple[Label, ...], NDArray[np.int64]]:
    """Number named classes.

    Args:
        found: (n,) names.
        known: the classes that have a number already, in order.

    Returns:
        All classes in order: the known ones, then the others by name, or by value where all of them
        are numbers; and (n,) int64 labels.
    """
    new = sorted(set(found.tolist()) - set(map(str, known)))
    if all(name.isascii() and name.isdecimal() for name in new):
        new.sort(key=int)
    classes = (*known, *new)
    at = {str(name): k for k, name in enumerate(classes)}
    return classes, np.array([at[name] for name in found.tolist()], np.int64)


def label_of(labels: tuple[Label, ...] | None, k: int) -> Label:
    """Return what class k is called; its number where it has no name."""
    return labels[k] if labels is not None and 0 <= k < len(labels) else k


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError("no such data file", got=path, expected=FORMATS, hint="check the path")


def _arrays(path: Path, required: Sequence[str]) -> Samples:
    wanted = "arrays x (n, *shape) and y (n,)" if "y" in required else "array x (n, *shape)"
    arrays = read_npz(path, ("x", "y", "class_names"), wanted)
    require(arrays, path, required, wanted)
    y, called = arrays.get("y"), arrays.get("class_names")
    if y is None or called is None or y.dtype.kind not in "iu":
        return Samples(arrays["x"], y)
    if called.ndim != 1 or called.dtype.kind != "U" or not np.isin(y, np.arange(len(called))).all():
        raise InputError(
            f"{path}: class_names does not fit y",
            got=f"{called.dtype} {called.shape}",
            expected="a name at index k for every class k in y",
        )
    return Samples(arrays["x"], called[y])


def _classes(root: Path, kind: FileKind) -> Samples:
    listing = list_class_folders(root, kind.suffixes, least=1)
    y = np.array(listing.class_names)[listing.y]
    return Samples(_decoded(listing.paths, kind), y, _shown(root, listing.paths))


def _files(root: Path, files: Sequence[Path], kind: FileKind) -> Samples:
    if not files:
        raise InputError(
            f"{root} has no {kind.name} to predict",
            expected=f"files that end in {', '.join(sorted(kind.suffixes))}",
        )
    return Samples(_decoded(files, kind), None, _shown(root, files))


def _decoded(files: Sequence[Path], kind: FileKind) -> NDArray[Any]:
    return np.stack([kind.decoder.decode(path) for path in files])


def _shown(root: Path, files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(root)) for path in files)


def _table(path: Path, manifest: Manifest, *, labelled: bool) -> Samples:
    if manifest.task == "regression":
        return _regression(path, manifest, labelled=labelled)
    label, header = label_column(manifest), read_header(path)
    if labelled and label not in header:
        raise InputError(
            f"{path} has no column {label!r}",
            got=", ".join(header) or "an empty file",
            expected="the class of each row in it",
        )
    if (options := series_options(manifest)) is not None:
        windows = read_series_csv(path, options, least=1 if labelled else 0)
        x = windows.samples.read(np.arange(len(windows.samples)))
        classes = np.array(windows.class_names)[windows.y]
    else:
        # A subject may stand there as well, as in tables for training.
        table = read_csv(path, text=(), numbers=None, optional=(label, "subject"))
        x, classes = table.numbers, np.array(table.text.get(label))
    return Samples(_as_input(path, x, manifest), classes if label in header else None)


def _regression(path: Path, manifest: Manifest, *, labelled: bool) -> Samples:
    """Read a row per sample: the columns that training knew, or all, and those of the target."""
    header = read_header(path)
    targets = names(manifest, "target") or [n for n in header if n.startswith("target")]
    inputs = names(manifest, "columns") or [n for n in header if n not in targets]
    if not labelled and not set(targets) <= set(header):
        targets = []
    if labelled and not targets:
        raise InputError(f"{path} has no target column", got=", ".join(header))
    numbers = read_csv(path, text=(), numbers=[*inputs, *targets]).numbers
    x, y = numbers[:, : len(inputs)], numbers[:, len(inputs) :]
    shape = manifest.target.shape
    if targets and y.shape[1] != math.prod(shape):
        raise InputError(
            f"{path} has the wrong number of target columns",
            got=", ".join(targets),
            expected=math.prod(shape),
        )
    return Samples(_as_input(path, x, manifest), y.reshape(-1, *shape) if targets else None)


def _as_input(path: Path, x: NDArray[Any], manifest: Manifest) -> NDArray[Any]:
    """Bring numbers of a table to the shape of samples, and whole ones to integers if need be."""
    shape = manifest.input.shape
    if x[0].size != math.prod(shape):
        raise InputError(
            f"{path} has the wrong number of input columns",
            got=f"{x[0].size} numbers for a sample",
            expected=f"{math.prod(shape)}, a sample being ({', '.join(map(str, shape))})",
            hint="the columns of a table are its label and its input, nothing else",
        )
    x = x.reshape(-1, *shape)  # (n, D) -> (n, *shape)
    if np.dtype(manifest.input.dtype).kind in "iu" and (x == np.rint(x)).all():
        return x.astype(np.int64)
    return x
