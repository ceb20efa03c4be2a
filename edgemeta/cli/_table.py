"""Plain tables and curves for the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from unicodedata import category

BLOCKS = "▁▂▃▄▅▆▇█"
MOST_BLOCKS = 60


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out rows of cells under a header; numbers are aligned to the right.

    Args:
        header: one name per column.
        rows: cells; what is not a string is shown by `str`, and aligned to the right.
    """
    cells = [list(header), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [any(not isinstance(row[k], str) for row in rows) for k in range(len(header))]

    def line(row: Sequence[str]) -> str:
        fitted = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        )
        return "  ".join(fitted).rstrip()

    head, *body = map(line, cells)
    return "\n".join([head, "-" * (sum(widths) + 2 * (len(widths) - 1)), *body])


def printable(text: str) -> str:
    """Replace what would command a terminal: names in files from outside may hold anything."""
    return "".join("?" if category(c) == "Cc" and c != "\n" else c for c in text)


def blocks(values: Sequence[float]) -> str:
    """Draw values as a line of blocks, the largest as the highest; "->" where output lacks them.

    Args:
        values: at least one; of many, some are left out, evenly.
    """
    if not _can_show(BLOCKS):
        return "->"
    step = max(1, (len(values) - 1) / (MOST_BLOCKS - 1))
    chosen = [values[round(k * step)] for k in range(math.ceil(len(values) / step))]
    finite = [value for value in chosen if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    heights = [
        (value - low) / (high - low) if math.isfinite(value) and high > low else 0.0
        for value in chosen
    ]
    return "".join(BLOCKS[round(height * (len(BLOCKS) - 1))] for height in heights)


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
