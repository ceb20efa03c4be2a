"""Reading CSV tables: columns of text, columns of numbers, every bad cell named.

The standard library's csv splits the lines; ours is to name a bad cell, which numpy does not, and
not to bring pandas to a device.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgemeta.errors import InputError

_BLOCK = 20_000  # rows turned into numbers at once


@dataclass(frozen=True)
class Columns:
    """What was read of a table of N rows.

    Attributes:
        text: column name -> N strings.
        number_names: D column names.
        numbers: (N, D) float32, finite.
    """

    text: dict[str, list[str]]
    number_names: tuple[str, ...]
    numbers: NDArray[np.float32]


def read_csv(
    path: Path,
    *,
    text: Sequence[str],
    numbers: Sequence[str] | None,
    optional: Sequence[str] = (),
) -> Columns:
    """Read some columns of a comma-separated table with a header.

    Args:
        path: UTF-8 text.
        text: columns to read as strings.
        numbers: columns to read as numbers; None for all others.
        optional: columns to read as strings where there are any.

    Raises:
        InputError: the file or a column is missing, a row has another length, a cell is no finite
            number, or there are no rows.
    """
    with _rows(path) as rows:
        header = next(rows, [])
        text = [*text, *(name for name in optional if name in header)]
        others = [name for name in header if name not in text]
        names = others if numbers is None else numbers
        at = _places(path, header, [*text, *names])
        return _read(path, _checked_rows(path, rows, len(header)), text, names, at)


def read_header(path: Path) -> list[str]:
    """Return the names of a table's columns; arguments and errors as for `read_csv`."""
    with _rows(path) as rows:
        return next(rows, [])


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """Open a table as rows of cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield csv.reader(stream, strict=True)
    except FileNotFoundError as error:
        raise InputError("no such data file", got=path, hint="check the path") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read", got=error, expected="a comma-separated table in UTF-8"
        ) from error


def _places(path: Path, header: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Find columns by name."""
    missing = [name for name in names if name not in header]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(map(repr, missing))}",
            got=", ".join(header) or "an empty file",
            hint="name the columns with options such as --label, or correct the header",
        )
    double = sorted({name for name in names if header.count(name) > 1})
    if double:
        raise InputError(f"{path} has columns of the same name", got=", ".join(double))
    return {name: header.index(name) for name in names}


def _checked_rows(path: Path, rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    for count, row in enumerate(rows):
        if not row:
            continue  # an empty line
        if len(row) != width:
            raise InputError(
                f"{path}: a row does not fit the header",
                got=f"{len(row)} cells in row {count + 1}",
                expected=width,
            )
        yield row


def _read(
    path: Path,
    rows: Iterator[list[str]],
    text: Sequence[str],
    names: Sequence[str],
    at: dict[str, int],
) -> Columns:
    columns: dict[str, list[str]] = {name: [] for name in text}
    blocks = [np.empty((0, len(names)), np.float32)]
    known: dict[str, str] = {}  # one object for each different text: labels repeat
    done = 0
    while block := list(islice(rows, _BLOCK)):
        for name in text:
            columns[name] += [known.setdefault(row[at[name]], row[at[name]]) for row in block]
        cells = [[row[at[name]] for name in names] for row in block]
        blocks.append(_numbers(path, names, cells, done))
        done += len(block)
    if not done:
        raise InputError(f"{path} has no rows", expected="a header, and rows below it")
    return Columns(columns, tuple(names), np.concatenate(blocks))


def _numbers(
    path: Path, names: Sequence[str], cells: list[list[str]], before: int
) -> NDArray[np.float32]:
    """Turn rows of cells into numbers, `before` being how many rows were there already."""
    numbers = np.full((len(cells), len(names)), np.nan, np.float32)
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            numbers[:] = np.array(cells, dtype=np.float64).reshape(numbers.shape)
    except (ValueError, OverflowError):
        for k, row in enumerate(cells):
            for d, cell in enumerate(row):
                try:
                    numbers[k, d] = float(cell)
                except ValueError:
                    break
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        k, d = wrong[0].tolist()
        raise InputError(
            f"{path}: a cell is no finite number",
            got=f"{cells[k][d]!r} in column {names[d]!r} of row {before + k + 1}",
            hint="correct or drop such rows, or choose the input with --columns",
        )
    return numbers
