"""Plain tables: people rather look than read."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out rows of cells, numbers to the right, under a header.

    Args:
        header: one name per column.
        rows: cells; what is not a string is shown by `str`, and aligned to the right.
    """
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
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
