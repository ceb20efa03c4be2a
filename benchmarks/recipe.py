"""What `edgemeta train DATA` and nothing else reaches, over several divisions of the data.

python -m benchmarks.recipe NAME DATA [--by both] [--minutes 30] [--divisions 3] [-- TRAIN-OPTIONS]

For each division, which `--split-seed` draws and which has a training seed of its own: train by the
recipe, export, evaluate the bundle on onnxruntime, compare with the baselines. A division decides
more than 600 episodes do, so the interval of the mean is that between divisions. What it finds goes
to benchmarks/results/recipe/NAME.json; docs/meta-training.md shows it. A division that is there
already, with the same options, is not trained again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from edgemeta.util.files import write_atomically

RESULTS = Path(__file__).parent / "results" / "recipe"
SHOTS = (1, 5)
KEPT = ("kind", "labels", "notes", "plan", "what", "chosen", "shots", "compared")


def edgemeta(*arguments: object) -> Any:
    """Run a command and return the JSON that it prints last."""
    command = [sys.executable, "-m", "edgemeta", *map(str, arguments), "--json"]
    click.echo("$ edgemeta " + " ".join(map(str, arguments)), err=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else None


def measure(
    data: Path, by: str, minutes: float, division: int, options: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Train by the recipe on one division, and evaluate what comes of it.

    Returns:
        Accuracies of the bundle by shots, baselines, what the recipe compared, and minutes taken.
    """
    run, bundle = folder / "run", folder / "bundle"
    divided = ("--by", by, "--split-seed", division) if by else ()
    began = time.perf_counter()
    result = edgemeta(
        *("train", data, *divided, "--seed", division, "--minutes", minutes),
        *("--out", run, *options),
    )
    taken = (time.perf_counter() - began) / 60
    edgemeta("export", run, "--out", bundle)
    bundles = {
        shots: edgemeta("eval", bundle, data, *divided, "--shots", shots, "--episodes", 600)
        for shots in SHOTS
    }
    baselines = {shots: edgemeta("baselines", run, "--shots", shots) for shots in SHOTS}
    recipe = json.loads((run / "recipe.json").read_text())
    size = sum(file.stat().st_size for file in bundle.iterdir())
    return {
        "division": division,
        "minutes": round(taken, 1),
        "bundle_bytes": size,
        "ways": result["ways"],
        "bundle": {s: {"mean": b["mean"], "ci95": b["ci95"]} for s, b in bundles.items()},
        "baselines": {
            s: [
                {n: c.get(n) for n in ("init", "method", "mean", "ci95", "gain")}
                for c in b["contestants"]
            ]
            for s, b in baselines.items()
        },
        "recipe": {name: recipe[name] for name in KEPT},
    }


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--by", default="class", help="What is new; '' for tasks with fixed parts.")
@click.option("--minutes", default=30.0)
@click.option("--divisions", default=3)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(
    name: str, data: Path, by: str, minutes: float, divisions: int, options: tuple[str, ...]
) -> None:
    """Measure the recipe on DATA, and keep the results under NAME."""
    path = RESULTS / f"{name}.json"
    setting = {"data": data.name, "by": by, "minutes": minutes, "options": list(options)}
    record = json.loads(path.read_text()) if path.exists() else {}
    if record.get("setting") != setting:
        record = {"setting": setting, "divisions": []}
    done = {each["division"] for each in record["divisions"]}
    RESULTS.mkdir(exist_ok=True)
    for division in range(divisions):
        if division in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(data, by, minutes, division, options, Path(folder))
        record["divisions"].append(found)
        write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
        click.echo(
            f"division {division}: {found['bundle']} in {found['minutes']} minutes", err=True
        )


if __name__ == "__main__":
    main()
