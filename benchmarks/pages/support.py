"""Write docs/support.md from the zoo, measured networks, the rules and the decompositions.

python -m benchmarks.pages.support

A test compares the file with what this prints, so that the table is never edited by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.timing import markdown
from edgemeta_export.decompose import DECOMPOSITIONS
from edgemeta_export.rules import RULES
from tests.zoo import ROWS, Row

TARGET = Path(__file__).parents[2] / "docs" / "support.md"
BREADTH = Path(__file__).parents[1] / "results" / "breadth.json"


def page() -> str:
    """Return the content of support.md."""
    parts = [
        "# What can be compiled",
        "",
        "Written by `python -m benchmarks.pages.support`; "
        "do not edit. Each row of the first tables is a "
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
    parts += _breadth()
    parts += _functions("Rules of ours", RULES)
    parts += _functions("Decompositions of ours", DECOMPOSITIONS)
    return "\n".join(parts)


def _sample(row: Row) -> str:
    kind = f"{row.tokens} tokens" if row.tokens else "float32"
    return f"{' x '.join(map(str, row.shape))} {kind}"


def _breadth() -> list[str]:
    """Return the networks of other packages that were measured."""
    found = json.loads(BREADTH.read_text())
    versions = found["packages"]
    rows = []
    for name, network in found["networks"].items():
        rows += [
            [
                f"{name} ({network['package']})" if what == "head" else "",
                what,
                f"{network['parameters'] / 1e6:.1f} M",
                " x ".join(map(str, network["input"])),
                f"{network[what]['export_process_seconds']:.0f}",
                f"{network[what]['difference']:.0e}",
                f"{network[what]['float32_from_float64']:.0e}",
                f"{network[what]['adapt_ms']:.1f}",
            ]
            for what in ("head", "last block", "all")
            if what in network
        ]
    header = ["network", "adapts", "parameters", "sample", "export, s", "difference"]
    header += ["PyTorch's own", "adapt, ms"]
    return [
        "## Networks of timm and torchvision",
        "",
        f"timm {versions['timm']} and torchvision {versions['torchvision']}, beside torch "
        f"{versions['torch']}; random weights, batch norms in eval mode with running statistics "
        "that fit no data. The difference is that of a query's logits from an ordinary PyTorch "
        "loop with `torch.optim.SGD`, in float32 or in float64, whichever is nearer, relative to "
        "the largest; PyTorch's own is that between its two, which part where an activation is "
        "within rounding of a kink; adaptation is 3 steps on 10 samples "
        f"on one thread of {found['cpu']}, which other work kept busy. Export is processor time in "
        "a process that has exported before. Written by `python -m benchmarks.breadth`; "
        "`tests/export/test_breadth.py` says how to install both packages.",
        "",
        markdown(header, rows),
        "",
    ]


def _functions(title: str, table: Mapping[Any, Callable[..., Any]]) -> list[str]:
    lines = [f"## {title}", "", "| op | what it does |", "|---|---|"]
    for target, function in sorted(table.items(), key=lambda entry: str(entry[0])):
        summary = (function.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| `{target}` | {summary} |")
    return [*lines, ""]


if __name__ == "__main__":
    TARGET.write_text(page())
