"""What `edgemeta train DATA` and nothing else reaches, over several divisions of the data.

python -m benchmarks.recipe NAME DATA [--by both] [--minutes 30] [--work DIR] [-- OPTIONS]

For each division, which `--split-seed` draws and which has a training seed of its own: train by the
recipe, export, evaluate the bundle on onnxruntime, compare with the baselines. A division decides
more than 600 episodes do, so the interval of the mean is that between divisions. What it finds goes
to benchmarks/results/recipe/NAME.json; docs/meta-training.md shows it. A division that is there
already, with the same options, is not trained again.
"""

from __future__ import annotations

import json
import os
import shutil
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
KEPT = ("kind", "labels", "notes", "plan", "what", "chosen", "shots")


def edgemeta(*arguments: object) -> Any:
    """Run a command and return the JSON that it prints last."""
    return result_of(begin(*arguments))


def begin(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start a command, with some variables of its environment."""
    click.echo("$ edgemeta " + " ".join(map(str, arguments)), err=True)
    command = [sys.executable, "-m", "edgemeta", *map(str, arguments), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | variables)


def result_of(process: subprocess.Popen[str]) -> Any:
    """Return the JSON that a command prints last."""
    printed, _ = process.communicate()
    if process.returncode:
        raise click.ClickException("a command has failed, see above")
    return json.loads(printed.strip().splitlines()[-1]) if printed.strip() else None


def train(folder: Path, *arguments: object) -> float:
    """Train by the recipe; return the minutes that it took, all tries together."""
    run, clock = folder / "run", folder / "minutes.json"
    taken = json.loads(clock.read_text()) if clock.exists() else 0.0
    began = time.perf_counter()
    try:
        if not (run / "result.json").exists():
            begun = (run / "recipe" / "given.toml").exists()
            edgemeta("train", *(("--resume",) if begun else arguments), "--out", run)
            taken += (time.perf_counter() - began) / 60
    except KeyboardInterrupt:
        taken += (time.perf_counter() - began) / 60
        raise
    finally:
        write_atomically(clock, json.dumps(taken).encode())
    return float(taken)


def beside(folder: Path) -> dict[int, Any]:
    """Return the baselines by shots; all at once, each on a core and a copy of the run."""
    running = {}
    for shots in SHOTS:
        copied = folder / f"run-{shots}"
        shutil.copytree(folder / "run", copied, dirs_exist_ok=True)
        asked = ("baselines", copied, "--shots", shots, "--curve-episodes", 0)
        running[shots] = begin(*asked, OMP_NUM_THREADS="1")
    return {shots: result_of(process) for shots, process in running.items()}


def measure(
    data: Path, by: str, minutes: float, division: int, options: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Train by the recipe on one division, and evaluate what comes of it.

    Returns:
        Accuracies of the bundle by shots, baselines, what the recipe compared, and minutes taken.
    """
    run, bundle = folder / "run", folder / "bundle"
    divided = ("--by", by, "--split-seed", division) if by else ()
    taken = train(folder, data, *divided, "--seed", division, "--minutes", minutes, *options)
    if not bundle.exists():
        edgemeta("export", run, "--out", bundle)
    bundles = {
        shots: edgemeta("eval", bundle, data, *divided, "--shots", shots, "--episodes", 600)
        for shots in SHOTS
    }
    baselines = beside(folder)
    recipe = json.loads((run / "recipe.json").read_text())
    result = json.loads((run / "result.json").read_text())
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
        "recipe": {name: recipe[name] for name in KEPT} | {"compared": without_units(recipe)},
    }


def without_units(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was compared, without the accuracy of each class."""
    return [{n: v for n, v in each.items() if n != "units"} for each in recipe["compared"]]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--by", default="class", help="What is new; '' for tasks with fixed parts.")
@click.option("--minutes", default=30.0)
@click.option("--divisions", default=3)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="Where runs are kept, so that what was interrupted goes on. [default: nowhere]",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(
    name: str,
    data: Path,
    by: str,
    minutes: float,
    divisions: int,
    work: Path | None,
    options: tuple[str, ...],
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
        with tempfile.TemporaryDirectory() as passing:
            folder = (work or Path(passing)) / f"{name}-{division}"
            folder.mkdir(parents=True, exist_ok=True)
            found = measure(data, by, minutes, division, options, folder)
        record["divisions"].append(found)
        write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
        click.echo(
            f"division {division}: {found['bundle']} in {found['minutes']} minutes", err=True
        )


if __name__ == "__main__":
    main()
