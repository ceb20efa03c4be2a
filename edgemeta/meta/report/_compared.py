"""The run beside others: the baselines, and other tasks and settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgemeta.meta.compare.record import called, chosen, curve_row, curve_shots
from edgemeta.meta.report import _figures as figures
from edgemeta.meta.report._markup import estimate, figure, paragraph, section, table, text
from edgemeta.meta.runs.run import Run


def recipe(run: Run) -> str:
    """Return the section on what the recipe compared; "" for a run that was trained by hand."""
    record = run.recipe()
    if record is None or "table" not in record:
        return ""
    shots = " and ".join(f"{count}" for count in record["shots"])
    return section(
        "How it was chosen",
        *(paragraph(note) for note in record["notes"]),
        table(
            f"Accuracy on {record['episodes']} validation tasks for each number of shots; for each "
            "init and what adapts of it, the best steps, rate and neck",
            record["table"]["header"],
            record["table"]["rows"],
        ),
        paragraph(
            f"Chosen: {record['what']}. Of all within one standard error of the best mean over "
            f"{shots} shots, it costs the least on a device. Mflop: products of one adaptation "
            "to one sample per class, and of one prediction."
        ),
    )


def baselines(run: Run) -> str:
    """Return the section on the baselines; empty figures where nobody has compared."""
    record = run.baselines()
    title = "Beside its baselines"
    if record is None:
        command = f"<code>edgemeta baselines {text(run.path)}</code>"
        return section(title, f"<p>Not measured yet. {command} does, in a while.</p>")
    measured = [entry for entry in record["contestants"] if "mean" in entry]
    rows = [
        (
            called(c),
            *chosen(c),
            estimate(c),
            "" if c.get("gain") is None else estimate(c["gain"]),
        )
        for c in measured
    ]
    setting, grid = record["setting"], record["grid"]
    missing = len(record["contestants"]) - len(measured)
    note = f" {missing} are not measured yet: the command was interrupted." if missing else ""
    return section(
        title,
        table(
            f"{record['metric']} ± 95 % CI on the same {setting['episodes']} test episodes, "
            f"{record['statistics']}",
            ("init, what adapts", "steps", "inner_lr", record["metric"], "the run is better by"),
            rows,
        ),
        paragraph(
            "Pretrained: supervised, by the same data, augmentation and budget. Steps and inner_lr "
            "of the "
            f"baselines are the best of {len(grid['steps']) * len(grid['inner_lr'])} on "
            f"{grid['episodes']} validation episodes.{note}"
        ),
        *_curve(record),
    )


def _curve(record: Mapping[str, Any]) -> list[str]:
    """Return the figure and the table of accuracy (or MSE) against shots; [] where none is kept."""
    shots = curve_shots(record)
    if not shots:
        return []
    drawn = [entry for entry in record["contestants"] if entry.get("curve")]
    metric = {"accuracy": "Accuracy", "mse": "Mean squared error"}[record["metric"]]
    rows = [(called(entry), *curve_row(entry, shots)) for entry in drawn]
    caption = (
        f"{metric} by the number of shots, on {record['curve']['episodes']} test episodes each. "
        "The band is a 95 % confidence interval. What is chosen for a baseline is chosen at "
        f"{record['setting']['shots']}."
    )
    return [
        figure(figures.by_shots(drawn, record["metric"]), caption),
        "<details><summary>The same in numbers</summary>",
        table(f"{metric} ± 95 % CI by shots", ("init, what adapts", *map(str, shots)), rows),
        "</details>",
    ]


def evaluations(run: Run) -> str:
    """Return the section on what `edgemeta eval` found; none where there is nothing."""
    kept = run.evaluations()
    if not kept:
        return ""
    rows = []
    for entry in kept:
        setting, found = entry["setting"], entry["found"]
        size = "" if setting["ways"] is None else f"{setting['ways']}-way "
        seed = setting.get("split_seed", 0)  # older records do not say
        rows.append(
            (
                f"{setting['tasks']}, {setting['split']}"
                + (f", split seed {seed}" if seed else ""),
                f"{size}{setting['shots']}-shot",
                "as trained" if setting["steps"] is None else str(setting["steps"]),
                str(setting["episodes"]),
                f"{found['metric']} {estimate(found)}",
                _unknown(found.get("unknown")),
            )
        )
    columns = ("tasks", "setting", "inner steps", "episodes", "result", "with unknown classes")
    shown = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    return section(
        "On these and other tasks",
        table(
            "What `edgemeta eval` found of this run", columns[:shown], [row[:shown] for row in rows]
        ),
    )


def _unknown(found: Mapping[str, Any] | None) -> str:
    """Return what an evaluation with unknown classes found, if it was one."""
    if found is None:
        return ""
    at = "".join(
        f"; {estimate(each)} right at {100 * each['false_alarms']:.0f} % false alarms"
        for each in found["at"]
    )
    return f"{found['classes']} unknown: area {found['area']:.4f}{at}"
