"""What the recipe reaches beside all baselines: the part of docs/meta-training.md about it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import markdown

RESULTS = Path(__file__).parents[1] / "results" / "recipe"
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
"""By the number of divisions: how many standard errors make half of a 95 % interval."""

NEW = {"class": "classes", "subject": "people", "both": "classes and people", "": "classes"}


def between(values: Sequence[float]) -> str:
    """Return the mean of accuracies over divisions, and half of the 95 % interval between them."""
    mean = f"{np.mean(values):.1%}"
    if len(values) not in STUDENT:
        return mean
    half = STUDENT[len(values)] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean} ± {half:.1%}"


def compared(record: dict[str, Any]) -> str:
    """Return a table of the bundle and all baselines, means over divisions, best first."""
    divisions = record["divisions"]
    shots = list(divisions[0]["bundle"])
    rows = [["**what the recipe made**", "bundle, onnxruntime"]]
    rows[0] += [between([d["bundle"][s]["mean"] for d in divisions]) for s in shots] + [""]
    found: list[tuple[float, list[str]]] = []
    for init, method in _contestants(divisions):
        scores = {s: [_score_of(d["baselines"][s], init, method) for d in divisions] for s in shots}
        if any(score is None for each in scores.values() for score in each):
            continue
        known = {s: [score for score in each if score is not None] for s, each in scores.items()}
        ahead = [
            d["bundle"][s]["mean"] - known[s][k] for s in shots for k, d in enumerate(divisions)
        ]
        row = [init, method, *(between(known[s]) for s in shots), f"{np.mean(ahead):+.1%}"]
        found.append((float(np.mean([np.mean(each) for each in known.values()])), row))
    rows += [row for _, row in sorted(found, key=lambda each: -each[0])]
    columns = [f"{s}-shot" for s in shots]
    return markdown(["init", "method", *columns, "the recipe is ahead by"], rows)


def chosen(record: dict[str, Any]) -> str:
    """Return what was chosen in each division, and how long it took."""
    rows = []
    for division in record["divisions"]:
        recipe = division["recipe"]
        way = recipe["chosen"]
        choices = way["choices"]
        steps = choices["inner_steps"]
        rows.append(
            [
                str(division["division"]),
                recipe["what"],
                way["adapts"],
                choices["neck"],
                f"{steps} at {choices['inner_lr']:g}" if steps else "-",
                *(f"{found['mean']:.1%}" for found in way["accuracy"].values()),
                *(f"{found['mean']:.1%}" for found in division["bundle"].values()),
                f"{division['minutes']:.0f}",
                f"{division['bundle_bytes'] / 1e6:.2f}",
            ]
        )
    recipe = record["divisions"][0]["recipe"]
    validated = [f"validation, {s}-shot" for s in recipe["chosen"]["accuracy"]]
    tested = [f"test, {s}-shot" for s in record["divisions"][0]["bundle"]]
    header = ["division", "init", "adapts", "neck", "steps", *validated, *tested, "minutes", "MB"]
    return markdown(header, rows)


def section(path: Path) -> list[str]:
    """Return the paragraphs about one data set."""
    record = json.loads(path.read_text())
    setting, divisions = record["setting"], record["divisions"]
    options = " ".join(setting["options"])
    by = f" --by {setting['by']}" if setting["by"] else ""
    told = f" --minutes {setting['minutes']:g}" if setting["minutes"] != 30 else ""
    return [
        f"### {path.stem}: new {NEW[setting['by']]}, {divisions[0]['ways']}-way, "
        f"{len(divisions)} divisions",
        f"`edgemeta train {setting['data']}{by}{told}{' ' + options if options else ''} --out RUN`",
        compared(record),
        chosen(record),
    ]


def sections() -> list[str]:
    """Return the paragraphs about all data sets that were measured."""
    return [paragraph for path in sorted(RESULTS.glob("*.json")) for paragraph in section(path)]


def _contestants(divisions: list[dict[str, Any]]) -> list[tuple[str, str]]:
    every = (c for d in divisions for found in d["baselines"].values() for c in found)
    return list(dict.fromkeys((c["init"], c["method"]) for c in every))


def _score_of(found: list[dict[str, Any]], init: str, method: str) -> float | None:
    same = [c["mean"] for c in found if (c["init"], c["method"]) == (init, method)]
    return same[0] if same else None
