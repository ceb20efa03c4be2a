"""Replay all episodes of all bundles on all runtimes, and write down how each of them did.

python -m tests.parity [--out FILE]

The exit code is 1 if a runtime fails, or is not there though EDGEMETA_REQUIRE_RUNTIMES names it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch

from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import read_selftest
from edgemeta.measure.bench_record import machine
from edgemeta.util.files import write_atomically
from tests.parity.adapter import Adapter, AdapterError
from tests.parity.bundles import NETWORKS, Recorded, recorded
from tests.parity.replay import DisagreementError, replay_all
from tests.parity.runtimes import ROOT, RUNTIMES, Runtime, absent, required
from tests.vectors import stored
from tests.vectors.judges import COMMANDS, agreed
from tests.vectors.judges import absent as absent_judge

RESULT = ROOT / "benchmarks" / "results" / "parity.json"
REPEATS = 50


@click.command(help="Replay five bundles on every runtime that is there.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="The result file.")
def main(out: Path) -> None:
    """Replay, and write."""
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = [recorded(network, Path(folder)) for network in NETWORKS]
        record = {
            "machine": {"cpu": machine(), "cores": os.cpu_count(), "torch": torch.__version__},
            "repeats": REPEATS,
            "bundles": {each.name: about(each) for each in bundles},
            "runtimes": {
                runtime.name: measured(runtime, bundles, failures) for runtime in RUNTIMES.values()
            },
        }
    record["vectors"] = judged(failures)
    write_atomically(out, (json.dumps(record, indent=1) + "\n").encode())
    for failure in failures:
        click.echo(f"Error: {failure}", err=True)
    sys.exit(bool(failures))


def judged(failures: list[str]) -> dict[str, Any]:
    """Return on how many vectors of tests/vectors each language's readers come to the verdict."""
    found: dict[str, dict[str, Any]] = {}
    vectors = list(stored())
    for language in ("python", *COMMANDS):
        if language != "python" and (reason := absent_judge(language)):
            found[language] = {"absent": reason}
            if language in required():
                failures.append(f"{language}, vectors: {reason}")
            continue
        try:
            rights = agreed(language, vectors)
        except (EOFError, BrokenPipeError) as error:
            failures.append(f"{language}, vectors: {error}")
            found[language] = {"absent": str(error)}
            continue
        wrong = [
            f"{vector.kind}: {vector.name}"
            for vector, right in zip(vectors, rights, strict=True)
            if not right
        ]
        failures.extend(f"{language}, {name}: another verdict" for name in wrong)
        found[language] = {"vectors": len(vectors), "agreed": len(vectors) - len(wrong)}
        click.echo(f"{language}, vectors: {found[language]}")
    return found


def about(recorded: Recorded) -> dict[str, Any]:
    """Return what the page says of a bundle."""
    manifest, _ = read_manifest(recorded.path)
    own = read_selftest(recorded.path, manifest)
    return {
        "input": str(manifest.input),
        "samples": len(own.support_x),
        "queries": len(own.query_x),
        "steps": own.steps,
        "episodes": len(recorded.episodes),
        "kb": sum(record.size for record in manifest.files.values()) / 1e3,
        "parity": {name: manifest.parity[name] for name in ("atol", "rtol")},
    }


def measured(runtime: Runtime, bundles: Sequence[Recorded], failures: list[str]) -> dict[str, Any]:
    """Return how a runtime did, by bundle, or why it did not take part."""
    if reason := absent(runtime, failures.append):
        click.echo(f"{runtime.name}: left out, {reason}")
        return {"absent": reason}
    found = {}
    for each in bundles:
        try:
            with Adapter(runtime.command, ROOT) as adapter:
                outcome = replay_all(adapter, each, REPEATS)
        except (AdapterError, DisagreementError) as error:
            failures.append(f"{runtime.name}, {each.name}: {error}")
            found[each.name] = {"failure": str(error)}
            continue
        click.echo(f"{runtime.name}, {each.name}: {outcome}")
        found[each.name] = asdict(outcome)
    return {"found": found, "note": runtime.note} if runtime.note else {"found": found}


if __name__ == "__main__":
    main()
