"""Write docs/performance.md from the stored results of the benchmarks.

python -m benchmarks.pages.performance

A test compares the file with what this prints, so that no number is edited by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.adapt_latency import EAGER, EDGEMETA, TOLERANCE, table
from benchmarks.node_costs import table as node_table
from benchmarks.timing import markdown

TARGET = Path(__file__).parents[2] / "docs" / "performance.md"
RESULTS = Path(__file__).parents[1] / "results"

# Times eager's speed that an adaptation is to reach; None: faster than eager and torch.compile.
GOALS: dict[str, float | None] = {
    "mlp": 5,
    "conv4-32": 2.8,
    "conv4-32-25": 2.5,
    "conv4-64-bn": 2.5,
    "ds-cnn": 2.5,
    "ds-cnn-25": 1.5,
    "gru": 5,
    "head-only": 20,
    "resnet12": None,
    "mobilenet-v2": None,
    "transformer": None,
}
OVERHEAD_US, FIRST_MS, PEAK_MB, REST_KB, EXPORT_S = 60, 350, 65, 100, 10


def load(name: str) -> Any:
    """Read a stored result."""
    return json.loads((RESULTS / name).read_text())


def goals(cases: dict[str, Any]) -> str:
    """Return what was to be reached, and what was."""
    rows = []
    for name, case in cases.items():
        goal, ratio = GOALS[name], case["ratio"].get(EDGEMETA, 0.0)
        others = {n: r for n, r in case["ratio"].items() if n not in (EAGER, EDGEMETA)}
        best = max(others, key=lambda n: others[n], default=EAGER)
        reached = "yes" if ratio >= (goal or 1) else "no"
        rows.append(
            [
                name,
                "faster than eager" if goal is None else f"{goal:g}x",
                f"{ratio:.2f}x",
                reached,
                f"{best} {others.get(best, 1):.2f}x",
                "yes" if ratio > others.get(best, 1) else "no",
                f"{case['ms'].get(EDGEMETA, 0) / case['floor_ms']:.1f}x",
            ]
        )
    header = ["case", "goal", "reached", "met", "fastest other", "faster than it", "of the floor"]
    return markdown(header, rows)


def around(cases: dict[str, Any]) -> str:
    """Return what an adaptation costs around the session's own run."""
    rows = []
    for name, case in cases.items():
        found = case["around"]
        if found is None:
            continue
        rows.append(
            [
                name,
                f"{case['overhead_us']:.0f}",
                f"{found['first_adaptation_ms']:.0f}",
                f"{found['peak_mb']:.0f}",
                f"{found['weights_kb']:.0f}",
                f"{found['rest_kb']:.0f}",
                f"{found['export_s']:.0f}",
            ]
        )
    header = [
        "case",
        f"Runner.adapt adds, us (goal {OVERHEAD_US})",
        f"import to first adaptation, ms ({FIRST_MS})",
        f"peak, MB ({PEAK_MB})",
        "weights, kB",
        f"rest of the bundle, kB ({REST_KB}, Conv4)",
        f"export, s ({EXPORT_S})",
    ]
    return markdown(header, rows)


def missing(cases: dict[str, Any]) -> list[str]:
    """Return a line for each contestant that a case lacks, and why."""
    return [
        f"- {name}, {who}: {why}"
        for name, case in cases.items()
        for who, why in case["missing"].items()
    ]


def page() -> str:
    """Return the content of performance.md."""
    latency, costs, growth = map(load, ("adapt_latency.json", "node_costs.json", "scaling.json"))
    cases, machine = latency["cases"], latency["machine"]
    differences = {name: case["difference"] for name, case in cases.items()}
    plain = {name: found for name, found in differences.items() if found[EAGER] <= TOLERANCE}
    worst = max(found[EDGEMETA] for found in plain.values())
    others = ", ".join(
        f"{name} ({found[EAGER]:.0e} and {found[EDGEMETA]:.0e})"
        for name, found in differences.items()
        if name not in plain
    )
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    rows = [
        [name, f"{found['ms']:.2f}", f"{found['mb']:.2f}"]
        for name, found in growth["exponents"].items()
    ]
    parts = [
        "# How fast it is",
        "",
        "Written by `python -m benchmarks.pages.performance` "
        "from `benchmarks/results/`; do not edit. "
        f"Measured on {machine['cores']} cores of an {machine['cpu']}, {machine['threads']} "
        f"threads, {packages}. Absolute times mean little elsewhere; ratios mean more.",
        "",
        "One adaptation is five steps of gradient descent from the same weights, with the support "
        "set of the case. How contestants are timed: `benchmarks/adapt_latency.py`.",
        "",
        "## Adaptation",
        "",
        "Milliseconds, and times the speed of PyTorch eager in the same run. The floor is 3 x 5 "
        "forward passes as inference with constant weights on onnxruntime (frozen parts once).",
        "",
        table(latency),
        "",
        "![speed relative to PyTorch eager](../benchmarks/results/adapt_latency.png)",
        "",
        "Adapted weights and losses of all contestants are compared with PyTorch in float64: "
        f"edgemeta's differ by {worst:.0e} at most, relative to a tensor's largest value. Not "
        "counted are cases in which eager in float32 itself is far off, because they magnify "
        f"rounding (eager and edgemeta): {others or 'none'}.",
        "",
        "## Goals",
        "",
        goals(cases),
        "",
        Path(__file__).with_name("performance_notes.md").read_text().strip(),
        "",
        "## Around it",
        "",
        around(cases),
        "",
        "The first adaptation is that of a fresh process: importing edgemeta, loading the bundle, "
        "adapting once; the peak is what that process holds at most.",
        "",
        "## Growth",
        "",
        "Exponents p of cost = c * size^p for Conv4, fitted by least squares on logarithms "
        "(`benchmarks/scaling.py`).",
        "",
        markdown(["grows with", "time", "memory"], rows),
        "",
        "![time and memory](../benchmarks/results/scaling.png)",
        "",
        "## Why: what single nodes cost",
        "",
        "`benchmarks/node_costs.py`, microseconds; what the [lowering](lowering.md) relies on.",
        "",
        node_table(costs),
    ]
    if lacking := missing(cases):
        parts += ["", "## Who could not take part", "", *lacking]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
