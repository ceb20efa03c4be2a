"""Samples for a bundle from arrays, a folder of files, or a table."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import Manifest
from edgemeta.bundle.state import Label, check_known
from edgemeta.data._arrays import read_npy, read_npz, require
from edgemeta.data._folders import class_folders, files_in, list_class_folders
from edgemeta.data._series import read_series_csv
from edgemeta.data.csv_file import read_csv, read_header
from edgemeta.data.labels import Named, known_classes, label_of, number_classes
from edgemeta.data.recorded import FileKind, file_kind, label_column, names, series_options
from edgemeta.errors import InputError

FORMATS = ".npz, .csv, or a folder with a folder of files per class"


class Loaded(Protocol):
    """What has a manifest: an `edgemeta.Runner`."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""


@dataclass(frozen=True, eq=False)
class Support:
    """A support set that was read.

    Attributes:
        x: (n, *input_shape) samples, as `Runner.adapt` takes them.
        y: (n,) int64 class indices, or (n, *target_shape) targets for regression.
        labels: what the classes are called, by class index; None where nothing names them.
        ways: how many classes the names make; None where `y` came as numbers.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    labels: tuple[Label, ...] | None = None
    ways: int | None = None

    @property
    def named(self) -> NDArray[Any]:
        """(n,) the name of each sample's class, as an estimator takes them; else `y`."""
        if self.labels is None:
            return self.y
        return np.array([str(label_of(self.labels, k)) for k in self.y.tolist()])


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples that were read, to be predicted.

    Attributes:
        x: (n, *input_shape) samples, as `Learner.predict` takes them.
        names: the n files that they were read from, relative to the folder; None where they are no
            files.
        y: (n,) names of classes or class indices, or (n, *target_shape) targets, where they are
            known; else None.
    """

    x: NDArray[Any]
    names: tuple[str, ...] | None = None
    y: NDArray[Any] | None = None

    @property
    def named(self) -> bool:
        """Whether `y` holds names of classes."""
        return self.y is not None and self.y.dtype.kind == "U"


def read_support(
    path: str | os.PathLike[str], runner: Loaded, state: Named | None = None
) -> Support:
    """Read a support set for a bundle, as `edgemeta adapt` does.

    What training did to the raw data is done here too: pictures and recordings become samples of
    the bundle's shape. Classes that have names are numbered by name; where the bundle names its
    classes, as it numbers them.

    Args:
        path: a folder with a folder of pictures or recordings per class, a .csv with the class (or
            target) in a column, or an .npz with x and y.
        runner: of the bundle.
        state: an adapted learner whose classes keep their numbers; new ones come after them.

    Raises:
        InputError: it cannot be read, does not fit the bundle, has too few or too many classes, or
            one that is none of those that the bundle names.
        BundleError: the bundle's record of its training is damaged.

    Example:
        >>> import edgemeta
        >>> runner = edgemeta.load("omniglot")
        >>> support = edgemeta.read_support(drawings, runner)  # drawings/alef/1.png, ...
        >>> support.labels
        ('alef', 'ba')
        >>> learner = runner.adapt(support.x, support.y, ways=support.ways)
        >>> learner.save(drawings.with_name("mine.safetensors"), support.labels)

        An estimator takes the names as they are:

        >>> classifier = edgemeta.FewShotClassifier("omniglot").fit(support.x, support.named)
    """
    found = _read_support(Path(path), runner.manifest)
    y = cast("NDArray[Any]", found.y)  # required of each of them
    named = runner.manifest.labels
    if not found.named:
        return Support(found.x, y, named if state is None else state.labels)
    most = runner.manifest.most_ways
    if most is None:
        raise InputError("y holds names, and this bundle is for regression", expected="targets")
    known = known_classes(state, runner.manifest)
    if named is not None:
        check_known(y.tolist(), list(map(str, known)))
    labels, y = number_classes(y, known)
    if not 2 <= len(labels) <= most:
        raise InputError(
            f"{path} has the wrong number of classes",
            got=f"{len(labels)}: {', '.join(map(str, labels[:5]))}{', ...' * (len(labels) > 5)}",
            expected=f"2..{most}",
            hint="pass a state (--state) to add classes to it" if len(labels) < 2 else None,
        )
    return Support(found.x, y, labels, len(labels))


def read_samples(path: str | os.PathLike[str], runner: Loaded) -> Samples:
    """Read samples to be predicted, as `edgemeta predict` does.

    Args:
        path: as for `read_support`, where classes and targets may be missing; or a folder of files
            that are of no known class, or one file, or an .npy.
        runner: of the bundle.

    Raises:
        InputError: it cannot be read, or does not fit the bundle.
        BundleError: the bundle's record of its training is damaged.

    Example:
        >>> import edgemeta
        >>> runner = edgemeta.load("omniglot")
        >>> samples = edgemeta.read_samples(drawings / "ba", runner)
        >>> samples.names
        ('1.png', '2.png')
        >>> samples.x.shape
        (2, 28, 28)
    """
    path, manifest = Path(path), runner.manifest
    _check_exists(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        kind = file_kind(manifest)
        files = files_in(path, kind.suffixes)
        if not files and class_folders(path):
            return _classes(path, kind)
        return _files(path, files, kind)
    if suffix == ".npy":
        return Samples(read_npy(path))
    if suffix == ".csv":
        return _table(path, manifest, labelled=False)
    if suffix == ".npz":
        return _arrays(path, required=("x",))
    kind = file_kind(manifest)
    if suffix not in kind.suffixes:
        raise InputError(
            f"{path} has a format that cannot be read",
            expected=f"{FORMATS}, or one of the {kind.name}",
        )
    return _files(path.parent, [path], kind)


def _read_support(path: Path, manifest: Manifest) -> Samples:
    _check_exists(path)
    if path.is_dir():
        kind = file_kind(manifest)
        if not class_folders(path):
            raise InputError(
                f"{path} has no folders",
                expected=f"a folder of {kind.name} for each class, whose name is the folder's",
            )
        return _classes(path, kind)
    if path.suffix.lower() == ".csv":
        return _table(path, manifest, labelled=True)
    if path.suffix.lower() == ".npz":
        return _arrays(path, required=("x", "y"))
    raise InputError(f"{path} has a format that cannot be read", expected=FORMATS)


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise InputError("no such data file", got=path, expected=FORMATS, hint="check the path")


def _arrays(path: Path, required: Sequence[str]) -> Samples:
    wanted = "arrays x (n, *shape) and y (n,)" if "y" in required else "array x (n, *shape)"
    arrays = read_npz(path, ("x", "y", "class_names"), wanted)
    require(arrays, path, required, wanted)
    y, called = arrays.get("y"), arrays.get("class_names")
    if y is None or called is None or y.dtype.kind not in "iu":
        return Samples(arrays["x"], y=y)
    if called.ndim != 1 or called.dtype.kind != "U" or not np.isin(y, np.arange(len(called))).all():
        raise InputError(
            f"{path}: class_names does not fit y",
            got=f"{called.dtype} {called.shape}",
            expected="a name at index k for every class k in y",
        )
    return Samples(arrays["x"], y=called[y])


def _classes(root: Path, kind: FileKind) -> Samples:
    listing = list_class_folders(root, kind.suffixes, least=1)
    y = np.array(listing.class_names)[listing.y]
    return Samples(_decoded(listing.paths, kind), _shown(root, listing.paths), y)


def _files(root: Path, files: Sequence[Path], kind: FileKind) -> Samples:
    if not files:
        raise InputError(
            f"{root} has no {kind.name} to predict",
            expected=f"files that end in {', '.join(sorted(kind.suffixes))}",
        )
    return Samples(_decoded(files, kind), _shown(root, files))


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
    return Samples(_as_input(path, x, manifest), y=classes if label in header else None)


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
    target = y.reshape(-1, *shape) if targets else None  # (n, D) -> (n, *shape)
    return Samples(_as_input(path, x, manifest), y=target)


def _as_input(path: Path, x: NDArray[Any], manifest: Manifest) -> NDArray[Any]:
    """Bring numbers of a table to the shape of samples, and whole ones to integers if need be."""
    shape = manifest.input.shape
    if x[0].size != math.prod(shape):
        raise InputError(
            f"{path} has the wrong number of input columns",
            got=f"{x[0].size} numbers for a sample",
            expected=f"{math.prod(shape)}, a sample being ({', '.join(map(str, shape))})",
            hint="a table has the label and the input columns, nothing else",
        )
    x = x.reshape(-1, *shape)  # (n, D) -> (n, *shape)
    if np.dtype(manifest.input.dtype).kind in "iu" and (x == np.rint(x)).all():
        return x.astype(np.int64)
    return x
