"""Write docs/parity.md from the stored results of the parity suite.

python -m benchmarks.pages.parity

A test compares the page with what this prints, so that no number is edited by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.timing import markdown

TARGET = Path(__file__).parents[2] / "docs" / "parity.md"
RESULT = Path(__file__).parents[1] / "results" / "parity.json"


def bundles(found: dict[str, Any]) -> str:
    """Return what the bundles are."""
    rows = [
        [
            name,
            each["input"],
            *(str(each[key]) for key in ("samples", "queries", "steps", "episodes")),
            f"{each['kb']:.0f}",
            f"{each['parity']['atol']:.0e} + {each['parity']['rtol']:.0e} x largest",
        ]
        for name, each in found.items()
    ]
    shared = ["samples", "queries", "steps", "episodes", "kB", "limit"]
    return markdown(["bundle", "input", *shared], rows)


def results(runtimes: dict[str, Any]) -> str:
    """Return how each runtime did on each bundle."""
    rows = []
    for runtime, entry in runtimes.items():
        for bundle, found in entry.get("found", {}).items():
            rows.append(
                [runtime, bundle, f"failed: {found['failure']}", "", "", "", ""]
                if "failure" in found
                else [
                    runtime,
                    bundle,
                    f"{found['runtime']} {found['version']}",
                    f"{found['largest']:.3f}",
                    found["where"],
                    f"{found['adapt_ms']:.2f}",
                    f"{found['predict_ms']:.2f}",
                ]
            )
    differs = ["largest difference / limit", "in"]
    return markdown(["runtime", "bundle", "runs on", *differs, "adapt, ms", "predict, ms"], rows)


def vectors(found: dict[str, Any]) -> str:
    """Return on how many vectors the readers of each language came to the right verdict."""
    rows = [
        [language, each.get("absent") or f"{each['agreed']} of {each['vectors']}"]
        for language, each in found.items()
    ]
    return markdown(["readers for", "right verdicts"], rows)


def page() -> str:
    """Return the content of parity.md."""
    found = json.loads(RESULT.read_text())
    machine = found["machine"]
    remarks = [
        f"- {entry['absent']}" if "absent" in entry else f"- {name} {entry['note']}"
        for name, entry in found["runtimes"].items()
        if "absent" in entry or "note" in entry
    ]
    parts = [
        "# One bundle, every runtime",
        "",
        "Written by `python -m benchmarks.pages.parity` "
        "from `benchmarks/results/parity.json`; do not "
        "edit. `make parity` builds all runtimes, replays, and writes both.",
        "",
        "Each runtime replays the same recorded episodes of five bundles, and every tensor of the "
        f"adapted state, the losses and the predictions are compared with those of PyTorch "
        f"{machine['torch']}. The episodes differ in samples, classes, steps, learning rate and "
        "queries. They were chosen before any runtime saw them: PyTorch agrees with itself on them "
        "when the init is jittered, so that no activation lies within rounding of a corner of ReLU "
        "or max-pooling, where two correct runtimes part.",
        "",
        bundles(found["bundles"]),
        "",
        "A difference of 1 would be the limit. Times are medians of "
        f"{found['repeats']} repetitions of the bundle's selftest, with each runtime's own "
        f"settings, on {machine['cores']} cores of an {machine['cpu']}; predict is for all queries "
        "at once.",
        "",
        results(found["runtimes"]),
        "",
        *([*remarks, ""] if remarks else []),
        "## What the readers take and refuse",
        "",
        "The same small files and values, `tests/vectors`, go to the readers of each language: "
        "manifests, graphs, state files, labels, digests, losses. Each has to take or refuse them "
        "as all do, and to read the same in what it takes.",
        "",
        vectors(found["vectors"]),
        "",
        Path(__file__).with_name("parity_notes.md").read_text().strip(),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
