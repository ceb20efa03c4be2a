"""What the recipe compared, as rows for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgemeta.meta.recipe.choosing import Scored

CHOSEN = "chosen"


def compared_rows(record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return a header and a row for each init and what adapts of it, in its best way; best first.

    Args:
        record: what `Run.recipe` returns, once something is chosen.
    """
    chosen = Scored.of(record["chosen"])
    best: dict[tuple[str, str], Scored] = {}
    for each in sorted(map(Scored.of, record["compared"]), key=lambda s: -s.mean):
        best.setdefault((each.init, each.adapts), each)
    best[chosen.init, chosen.adapts] = chosen
    header = ["init", "adapts", "neck", "steps", "rate"]
    header += [f"{shots}-shot" for shots in record["shots"]]
    rows = []
    for each in sorted(best.values(), key=lambda s: -s.mean):
        steps = each.choices["inner_steps"]
        rows.append(
            [
                *(each.init, each.adapts, each.choices["neck"], str(steps)),
                f"{each.choices['inner_lr']:g}" if steps else "-",
                *(_percent(found.mean) for found in each.accuracy.values()),
                f"{each.flops / 1e6:.1f}",
                CHOSEN if each == chosen else "",
            ]
        )
    return [*header, "Mflop", ""], rows


def _percent(share: float) -> str:
    return f"{share:.1%}" if share == share else "diverged"
