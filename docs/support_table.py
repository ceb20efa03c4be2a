"""Write docs/support.md from the zoo, the rules and the decompositions.

python -m docs.support_table

A test compares the file with what this prints, so that the table is never edited by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from edgemeta_export.decompose import DECOMPOSITIONS
from edgemeta_export.rules import RULES
from tests.zoo import ROWS, Row

TARGET = Path(__file__).with_name("support.md")


def page() -> str:
    """Return the content of support.md."""
    parts = [
        "# What can be compiled",
        "",
        "Written by `python -m docs.support_table`; do not edit. Each row of the first tables is a "
        "model in `tests/zoo.py` that is exported and adapted in the test suite, at two sizes of "
        "the support set and for one and five steps, with every state tensor, loss and prediction "
        "compared with PyTorch.",
        "",
        "A model is not bound to these rows: whatever PyTorch differentiates into ops that have a "
        "translation is lowered. See [adding-a-rule.md](adding-a-rule.md) for an op that has none.",
        "",
    ]
    for family, rows in groupby(ROWS, key=lambda row: row.family):
        parts += [f"## {family.capitalize()}", "", "| model | sample |", "|---|---|"]
        parts += [f"| {row.name} | {_sample(row)} |" for row in rows]
        parts.append("")
    parts += _functions("Rules of ours", RULES)
    parts += _functions("Decompositions of ours", DECOMPOSITIONS)
    return "\n".join(parts)


def _sample(row: Row) -> str:
    kind = f"{row.tokens} tokens" if row.tokens else "float32"
    return f"{' x '.join(map(str, row.shape))} {kind}"


def _functions(title: str, table: Mapping[Any, Callable[..., Any]]) -> list[str]:
    lines = [f"## {title}", "", "| op | what it does |", "|---|---|"]
    for target, function in sorted(table.items(), key=lambda entry: str(entry[0])):
        summary = (function.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{target}` | {summary} |")
    return [*lines, ""]


if __name__ == "__main__":
    TARGET.write_text(page())
