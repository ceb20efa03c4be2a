"""Write docs/meta-training.md from the stored results of the benchmarks.

python -m benchmarks.pages.meta_training

A run counts if its folder lies in `benchmarks/results/training/`: `log.txt` has the commands and
what they printed, `result.json` what the run reached (missing where a run was trained for another
folder), `baselines.json` what else was tried. A test compares the page with what this prints, so
that no number is edited by hand.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.meta_throughput import EDGEMETA, LEARN2LEARN, PLAIN
from benchmarks.pages import recipes
from benchmarks.recorded import table as recorded_table
from benchmarks.timing import markdown
from edgemeta.meta.compare.record import chosen

TARGET = Path(__file__).parents[2] / "docs" / "meta-training.md"
RESULTS = Path(__file__).parents[1] / "results"
RUNS = RESULTS / "training"

# Times the better of plain loop and learn2learn that are to be reached.
GOALS = {"conv4-maml": 1.5, "conv4-anil": 3.0, "mlp": 20.0}
ON_GPU = {"conv4-maml": 10.0, "mlp-maml": 10.0}
AT_LEAST = 1.0  # everywhere else
CONTESTANTS = (PLAIN, LEARN2LEARN, EDGEMETA)
EVALUATED = re.compile(r"^(accuracy|mse) ([\d.]+) ± ([\d.]+) on (\d+) test episodes of (\S+)", re.M)
TRAINED = re.compile(
    r"^(accuracy|mse) ([\d.]+) ± ([\d.]+) on (\d+) test episodes \(.*\)\. Run: \S+/(\S+)$", re.M
)
CHOSEN = re.compile(r"--(ways|shots|steps) (\d+)")
COMMAND = re.compile(r"^\$ (edgemeta eval .*)$", re.M)


def goal(case: str, goals: dict[str, float]) -> float:
    """Return what a case of the throughput benchmark is to reach."""
    network, algorithm = case.split("-")[0], case.split("-")[-2]
    return goals.get(f"{network}-{algorithm}", goals.get(network, AT_LEAST))


def throughput(results: dict[str, Any], goals: dict[str, float]) -> str:
    """Return tasks per second by case, the ratio, and the goal."""
    rows = []
    for name, case in results["cases"].items():
        rates, ratio = case["tasks_per_second"], case["ratio"][EDGEMETA]
        rows.append(
            [
                name,
                *(f"{rates[who]:.1f}" if who in rates else "-" for who in CONTESTANTS),
                f"{ratio:.2f}x",
                f"{rates[EDGEMETA] / rates[PLAIN]:.2f}x",
                f"{goal(name, goals):g}x",
                "yes" if ratio >= goal(name, goals) else "no",
            ]
        )
    to_best, to_plain = "to the better of both", "to the plain loop"
    return markdown(["tasks per second", *CONTESTANTS, to_best, to_plain, "goal", "met"], rows)


def runs(paths: list[Path]) -> str:
    """Return what each stored run reached on the test part, by validation's best checkpoint."""
    rows = []
    for path in paths:
        result = json.loads((path / "result.json").read_text())
        config = tomllib.loads((path / "config.toml").read_text())
        setting = "" if result["ways"] is None else f"{result['ways']}-way "
        tasks = result["iterations"] * config["meta_batch"]
        layers = "-".join(map(str, config["hidden"]))
        size = layers if config["model"] == "mlp" else config["width"]
        rows.append(
            [
                f"[{path.name}](../benchmarks/results/training/{path.name}/log.txt)",
                Path(result["tasks"]).stem,
                f"{setting}{result['shots']}-shot",
                config["algorithm"],
                f"{config['model']} {size}",
                f"{tasks:,}",
                _score(result),
                result["statistics"],
            ]
        )
    columns = ["run", "tasks", "setting", "algorithm", "model", "trained on tasks", "test", ""]
    return markdown(columns, rows)


def baselines(path: Path) -> str:
    """Return a run beside its baselines."""
    record = json.loads((path / "baselines.json").read_text())
    rows = [
        [
            entry["init"],
            entry["method"],
            *chosen(entry),
            "diverged" if entry["mean"] is None else _score(record | entry),
            _score(record | entry["gain"]) if entry.get("gain") else "",
        ]
        for entry in record["contestants"]
        if "mean" in entry
    ]
    return markdown(
        ["init", "method", "steps", "rate", record["metric"], "the run is better by"], rows
    )


def evaluations(text: str) -> str:
    """Return the evaluations that a script printed, each with its options."""
    rows = []
    for command, found in zip(COMMAND.findall(text), EVALUATED.finditer(text), strict=True):
        metric, mean, ci95, episodes, tasks = found.groups()
        chosen = " ".join(" ".join(pair) for pair in CHOSEN.findall(command))
        path = Path(command.split()[2])
        run = path.parent.name if path.name == "run" else path.name
        score = _score({"metric": metric, "mean": float(mean), "ci95": float(ci95)})
        rows.append([run, tasks, chosen or "as trained", score, episodes])
    return markdown(["run or bundle", "tasks", "options", "test", "episodes"], rows)


def trainings(text: str) -> str:
    """Return what each of several trainings reached that one script did."""
    rows = [
        [run, _score({"metric": metric, "mean": float(mean), "ci95": float(ci95)}), episodes]
        for metric, mean, ci95, episodes, run in TRAINED.findall(text)
    ]
    return markdown(["run", "test", "episodes"], rows)


def page() -> str:
    """Return the whole page."""
    measured = json.loads((RESULTS / "meta_throughput.json").read_text())
    where = measured["machine"]
    on_gpu = json.loads((RESULTS / "meta_throughput_gpu.json").read_text())
    finished = sorted(path.parent for path in RUNS.glob("*/result.json"))
    compared = sorted(path.parent for path in RUNS.glob("*/baselines.json"))
    logs = {path.parent: path.read_text() for path in sorted(RUNS.glob("*/log.txt"))}
    parts = [
        "# Meta-training: how fast, and how good",
        "Written by `python -m benchmarks.pages.meta_training` "
        "from `benchmarks/results/`; do not edit. "
        f"Measured on {where['cores']} cores of an {where['cpu']}, {where['threads']} threads, "
        f"torch {where['packages']['torch']}.",
        "## Speed",
        "Tasks per second of whole outer steps, all contestants in turn in one run "
        "(`benchmarks/meta_throughput.py`). Names: network and filters, algorithm, inner steps. "
        "conv4 is 5-way 1-shot with 75 queries and max-pooling.",
        throughput(measured, GOALS),
        f"On a GPU ({on_gpu['machine']['gpu']}, torch {on_gpu['machine']['packages']['torch']}; 16 "
        "tasks per outer step; learn2learn was not there), where steps are recorded and then "
        "captured as CUDA graphs:",
        throughput(on_gpu, ON_GPU),
        "What a record of the outer step saves (`python -m benchmarks.recorded`; processor time of "
        "one thread, the mlp's tasks all at once, conv4's one by one; the gradients are the same "
        "bits).",
        recorded_table(json.loads((RESULTS / "recorded.json").read_text())),
        Path(__file__).with_name("meta_training_notes.md").read_text().strip(),
        "## The recipe",
        "What `edgemeta train DATA --out RUN` and nothing else reaches, beside `edgemeta "
        "baselines` of the same run (`python -m benchmarks.recipe`). 600 test tasks in each "
        "division; each has other classes or people in its parts, and another seed of the "
        "training. ± is half of the 95 % interval between divisions, by Student's t. Steps and "
        "rates of baselines are chosen on validation tasks, too.",
        *recipes.sections(),
        "## By hand",
        "Mean over test episodes ± 95 % confidence interval, checkpoint chosen by validation, no "
        "ensembling. The name leads to the commands and what they printed.",
        runs(finished),
    ]
    for path in compared:
        parts += [f"### {path.name}: beside its baselines", baselines(path)]
    for path, text in logs.items():
        if len(TRAINED.findall(text)) > 1:
            parts += [f"### {path.name}: all of its trainings", trainings(text)]
    for path, text in logs.items():
        if COMMAND.search(text):
            parts += [f"### {path.name}: evaluations", evaluations(text)]
    return "\n\n".join(parts) + "\n"


def _score(found: dict[str, Any]) -> str:
    if found["metric"] == "accuracy":
        return f"{found['mean']:.1%} ± {found['ci95']:.1%}"
    return f"{found['mean']:.3f} ± {found['ci95']:.3f}"


if __name__ == "__main__":
    TARGET.write_text(page())
