"""Write docs/targets.md from the stored results of benchmarks/targets.py.

python -m benchmarks.pages.targets

A test compares the page with what this prints, so that no number is edited by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.targets import AGAIN, CPP, NODE, RESULT, USUAL, WASM
from benchmarks.timing import markdown
from edgemeta import bundle
from edgemeta.bundle.files import read_manifest
from edgemeta.device.packaged import BUNDLES

TARGET = Path(__file__).parents[2] / "docs" / "targets.md"
WEIGHED = "omniglot"
SERVES = {CPP: "C++, phones, servers", WASM: "pages", NODE: "servers"}
ON_DEVICE = (bundle.ADAPT, bundle.PREDICT, bundle.INIT)


def forms(cases: dict[str, Any]) -> str:
    """Return what each form costs beside the usual one."""
    rows = []
    for case, found in cases.items():
        for runtime, cost in found["cost"].items():
            others = [name for name in cost if name not in (USUAL, AGAIN)]
            ratios = [f"{cost[name]['ratio']:.2f}" for name in (AGAIN, *others)]
            rows.append([case, runtime, f"{cost[USUAL]['ms']:.2f}", *ratios])
    return markdown(["case", "runtime", "usual, ms", AGAIN, *others], rows)


def graphs(cases: dict[str, Any]) -> str:
    """Return how large the graphs of each form are."""
    names = [*next(iter(cases.values()))["kb"]]
    rows = [
        [case, *(f"{found['kb'][name][bundle.ADAPT]:.0f}" for name in names)]
        for case, found in cases.items()
    ]
    return markdown(["adapt.onnx, kB", *names], rows)


def needs(sizes: dict[str, Any]) -> str:
    """Return what a device has to have: the runtime and a bundle."""
    manifest, _ = read_manifest(BUNDLES / WEIGHED)
    own = sum(manifest.files[name].size for name in ON_DEVICE) / 1e6
    rows = []
    for runtime, files in sizes.items():
        plain, packed = (sum(f[key] for f in files.values()) / 1e6 for key in ("bytes", "gzip"))
        largest = max(files, key=lambda name: files[name]["bytes"])
        rows.append(
            [
                runtime,
                SERVES[runtime],
                f"{plain:.1f}",
                f"{packed:.1f}",
                f"{own:.2f}",
                f"{plain + own:.1f}",
                largest,
            ]
        )
    weights = ["MB", "MB, gzip", f"bundle {WEIGHED}, MB", "both, MB"]
    return markdown(["runtime", "for", *weights, "largest file"], rows)


def page() -> str:
    """Return the content of targets.md."""
    found = json.loads(RESULT.read_text())
    machine, cases = found["machine"], found["cases"]
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    notes = Path(__file__).with_name("targets_notes.md").read_text().strip()
    parts = [
        "# Small devices, and large ones",
        "",
        "Written by `python -m benchmarks.pages.targets` "
        "from `benchmarks/results/targets.json`; do not "
        f"edit. Measured on an {machine['cpu']} with {machine['cores']} cores, one thread, "
        f"{packages}.",
        "",
        notes,
        "",
        "## Measured",
        "",
        "Processor time of one adaptation of five steps and one prediction, and its ratio to the "
        f'usual form: the best of {found["rounds"]} alternating rounds. "{AGAIN}" is the same '
        "bundle again; its difference from 1 is noise (`benchmarks/targets.py`).",
        "",
        forms(cases),
        "",
        graphs(cases),
        "",
        "## What a device needs",
        "",
        "The libraries in each runtime's package, for x86-64 where they are compiled. A library "
        "for phones (ARM) was not available to measure. A web page loads the three files of "
        "WebAssembly. The bundle is the packaged one, without its selftest.",
        "",
        needs(found["sizes"]),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
