"""Check every sample of a data set: counts, sizes, duplicates, unreadable files."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.clips import ClipReport, measure_clips
from edgemeta.data.dataset import Dataset
from edgemeta.data.file_samples import FileSamples
from edgemeta.errors import InputError
from edgemeta.tasks._dividing import Rows
from edgemeta.tasks.classes import group_rows
from edgemeta.tasks.source import SPLITS

# Samples that are read together, in bytes and in number.
_BLOCK_BYTES, _BLOCK_ROWS = 2**25, 1024
_NAMED = 5  # examples in a message


@dataclass(frozen=True)
class PartReport:
    """One part: how many classes (or tasks) and samples it has."""

    part: str
    classes: int
    samples: int


@dataclass(frozen=True)
class DataReport:
    """What a check found.

    Attributes:
        layout: what the data was recognised as.
        samples: how many.
        shape: of a sample.
        dtype: of the samples.
        sample_bytes: of all samples, as episodes get them.
        disk_bytes: of the files.
        classes: how many; for regression, tasks.
        per_class: smallest, median and largest number of samples of a class.
        subjects: how many, or None.
        parts: as the data is divided.
        duplicates: samples that repeat another of the same part.
        clips: length and rate of recordings; None for other data.
        preprocessing: what is done to the raw data.
        problems: a line each; empty where all is well.
    """

    layout: str
    samples: int
    shape: tuple[int, ...]
    dtype: str
    sample_bytes: int
    disk_bytes: int
    classes: int
    per_class: tuple[int, float, int]
    subjects: int | None
    parts: tuple[PartReport, ...]
    duplicates: int
    clips: ClipReport | None
    preprocessing: dict[str, Any]
    problems: tuple[str, ...]


def check_dataset(
    layout: str, path: Path, dataset: Dataset, rows: Rows, tick: Callable[[int], object]
) -> DataReport:
    """Read every sample once.

    Args:
        layout: what the data was recognised as.
        path: where it lies.
        dataset: the data.
        rows: of each part, as the data is divided.
        tick: called with the number of samples that were read since.
    """
    samples = dataset.samples
    digests, unreadable = _digests(dataset, tick)
    part = np.full(len(samples), -1)
    for k, split in enumerate(SPLITS):
        part[rows[split]] = k
    part[list(unreadable)] = -1
    within, between = _duplicates(digests, part)
    counts = np.bincount(dataset.y, minlength=len(dataset.class_names))
    parts = tuple(
        PartReport(split, len(np.unique(dataset.y[rows[split]])), len(rows[split]))
        for split in SPLITS
    )
    kind = "classes" if dataset.targets is None else "tasks"
    small = [dataset.class_names[k] for k in np.flatnonzero(counts < 2)]
    problems = [
        *_damaged_members(path),
        *_listed("samples cannot be read", list(unreadable.values())),
        *_listed("samples occur in two parts", [_where(dataset, group) for group in between]),
        *_listed(f"{kind} have fewer than 2 samples: no episode can show them", small),
        *_thin_parts(parts, kind),
    ]
    return DataReport(
        layout=layout,
        samples=len(samples),
        shape=samples.shape,
        dtype=str(samples.dtype),
        sample_bytes=len(samples) * int(np.prod(samples.shape)) * samples.dtype.itemsize,
        disk_bytes=_disk_bytes(path),
        classes=len(dataset.class_names),
        per_class=(int(counts.min()), float(np.median(counts)), int(counts.max())),
        subjects=None if dataset.subject is None else len(dataset.subject_names),
        parts=parts,
        duplicates=within,
        clips=measure_clips(dataset),
        preprocessing=dict(dataset.preprocessing),
        problems=tuple(problems),
    )


def _digests(
    dataset: Dataset, tick: Callable[[int], object]
) -> tuple[NDArray[np.uint64], dict[int, str]]:
    """Read all samples: (N,) hashes of their content, and row -> why it cannot be read."""
    size = int(np.prod(dataset.samples.shape)) * dataset.samples.dtype.itemsize
    step = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(1, size)))
    count = len(dataset.samples)
    digests = np.zeros(count, np.uint64)
    unreadable: dict[int, str] = {}
    for start in range(0, count, step):
        block = np.arange(start, min(start + step, count))
        try:
            digests[block] = _hashes(dataset, block)
        except InputError:
            for row in block.tolist():  # one of them at least
                try:
                    digests[row] = _hashes(dataset, np.array([row]))[0]
                except InputError as error:
                    unreadable[row] = str(error)
        tick(len(block))
    return digests, unreadable


def _hashes(dataset: Dataset, rows: NDArray[np.int64]) -> list[int]:
    """Hash some samples, and their targets if they have any, to 64 bits each."""
    hashes = []
    for row, sample in zip(rows.tolist(), dataset.samples.read(rows), strict=True):
        content = hashlib.blake2b(sample.tobytes(), digest_size=8)
        if dataset.targets is not None:
            content.update(dataset.targets[row].tobytes())
        hashes.append(int.from_bytes(content.digest(), "little"))
    return hashes


def _duplicates(
    digests: NDArray[np.uint64], part: NDArray[np.int64]
) -> tuple[int, list[NDArray[np.int64]]]:
    """Compare the samples that are in a part.

    Args:
        digests: (N,) hashes.
        part: (N,) number of the part, -1 for none.

    Returns:
        How many samples repeat one of their own part, and the rows of each content that several
        parts have.
    """
    rows = np.flatnonzero(part >= 0)
    _, content, counts = np.unique(digests[rows], return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[content] > 1)
    groups = [rows[places] for places in group_rows(content, repeated).values()]
    within = sum(len(group) - len(np.unique(part[group])) for group in groups)
    return within, [group for group in groups if len(np.unique(part[group])) > 1]


def _where(dataset: Dataset, group: NDArray[np.int64]) -> str:
    """Name the first two samples of a group."""
    names = []
    for row in group[:2].tolist():
        name = f"row {row}"
        if isinstance(dataset.samples, FileSamples):
            name = str(dataset.samples.paths[row])
        names.append(f"{name} ({dataset.class_names[dataset.y[row]]})")
    return " = ".join(names)


def _listed(what: str, found: Sequence[str]) -> list[str]:
    """Make one line of a kind of problem, with a few examples; none if there are none."""
    if not found:
        return []
    more = ", ..." if len(found) > _NAMED else ""
    return [f"{len(found)} {what}: {', '.join(found[:_NAMED])}{more}"]


def _thin_parts(parts: Sequence[PartReport], kind: str) -> list[str]:
    """Find parts from which no episode of two classes can be drawn; all but test may be empty."""
    only_test = not any(part.samples for part in parts if part.part != "test")
    needed = 2 if kind == "classes" else 1
    return [
        f"the {part.part} part has {part.classes} {kind}, which is too few for an episode"
        for part in parts
        if part.classes < needed and not (only_test and part.part != "test")
    ]


def _damaged_members(path: Path) -> list[str]:
    """Compare the check sums of an .npz, which reading a mapped array does not."""
    if path.suffix != ".npz":
        return []
    with zipfile.ZipFile(path) as archive:
        bad = archive.testzip()
    return [] if bad is None else [f"{path}: the check sum of {bad} is wrong, so its data is"]


def _disk_bytes(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
