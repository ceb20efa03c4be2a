"""Write docs/estimators.md from the stored results of the benchmarks.

python -m benchmarks.pages.estimators

A test compares the page with what this prints, so that no number is edited by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.forgetting import FIRST
from benchmarks.forgetting import RESULT as FORGETTING
from benchmarks.timing import markdown
from benchmarks.unknown import RESULT as UNKNOWN

TARGET = Path(__file__).parents[2] / "docs" / "estimators.md"


def percent(share: float, digits: int = 1) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.{digits}f}"


def unknown(settings: list[dict[str, Any]], score: str) -> str:
    """Return how well a score tells unknown samples, by setting."""
    rows = []
    for setting in settings:
        found = setting["scores"][score]
        rates = (found["false_reject"], found["false_accept"])
        name = f"{setting['ways']}-way {setting['shots']}-shot"
        rows.append([name, f"{found['area']:.3f}", *map(percent, rates)])
    return markdown(["", "area", "known, rejected", "unknown, accepted"], rows)


def calibration(settings: list[dict[str, Any]]) -> str:
    """Return accuracy and calibration error, by setting."""
    rows = [
        [
            f"{setting['ways']}-way {setting['shots']}-shot",
            percent(setting["accuracy"]),
            percent(setting["ece_before"], 2),
            percent(setting["ece"], 2) if setting["calibrated"] else "not calibrated",
        ]
        for setting in settings
    ]
    return markdown(["", "accuracy", "error, T = 1", "error, calibrated"], rows)


def forgetting(found: dict[str, Any]) -> str:
    """Return accuracies by the way that classes were learned."""
    rows = [
        [
            way,
            *(
                plus_minus(by_shots[way][which]) if which == "old" or way != FIRST else "-"
                for by_shots in found["shots"].values()
                for which in ("old", "all")
            ),
        ]
        for way in next(iter(found["shots"].values()))
    ]
    heads = [f"{shots}-shot, {which}" for shots in found["shots"] for which in ("old", "all")]
    return markdown(["", *heads], rows)


def plus_minus(estimate: dict[str, float]) -> str:
    """Return a mean and its interval in per cent."""
    return f"{percent(estimate['mean'])} ± {percent(estimate['ci95'])}"


def page() -> str:
    """Return the content of estimators.md."""
    result, forgotten = (json.loads(path.read_text()) for path in (UNKNOWN, FORGETTING))
    settings, thresholds = result["settings"], result["thresholds"]
    parts = [
        "# Estimators: what they know, and what they forget",
        "",
        "Written by `python -m benchmarks.pages.estimators` "
        "from `benchmarks/results/`; do not edit. On "
        "the packaged bundle and Omniglot's test characters, inductive, in per cent, unless it "
        "says otherwise.",
        "",
        "## Unknown",
        "",
        "`FewShotClassifier(bundle, reject=R)` calls unknown what is less familiar than R. "
        "`familiarity` is how far the winning class is above a class that no sample was of, in "
        "proportion to how far above it is on its own support samples. As many classes again as "
        f"are learned are shown, {result['episodes']['test']} episodes. One threshold for all "
        f"rows, {thresholds['familiarity']:.2f}, was chosen on validation characters, where as "
        "large a share of known samples is rejected as of unknown ones is accepted. The area is "
        "that under the ROC curve: 1 tells all, 0.5 is chance.",
        "",
        unknown(settings, "familiarity"),
        "",
        "The probability of the winning class, to which most would set a threshold, tells less, "
        "and no threshold serves several numbers of classes. Chosen in the same way, at "
        f"{thresholds['probability']:.4f}:",
        "",
        unknown(settings, "probability"),
        "",
        "On data of another kind, choose R on classes that your device does not have to know: by "
        "the errors that you can bear. With a head of fixed width there is no class without "
        "samples; the mean over the head stands in for it, which is not measured here.",
        "",
        "## Calibration",
        "",
        "Expected calibration error, 15 bins, over the queries of the same episodes. The "
        "temperature is found on support samples held out in turn, so it takes two of each class "
        "or more; with one, `calibrated_` is false, and the probabilities are those of the bundle: "
        "right for as many classes as it was trained on, too low for more.",
        "",
        calibration(settings),
        "",
        "## Later classes",
        "",
        "Five classes are learned, five more one by one; accuracy on the queries of the five old "
        "classes and of all ten, so far as they are asked about: "
        f"{forgotten['omniglot']['episodes']} episodes, ± 95 % confidence interval. The last two "
        "rows lack one of the old classes.",
        "",
        forgetting(forgotten["omniglot"]),
        "",
        "`partial_fit` without the support set averages states that were adapted apart "
        "(`edgemeta/estimators/_merging.py`). With one step in a linear head, as here, that is the "
        "state of all samples at once. With several steps through all layers it is an "
        "approximation, which is not measured here: `python -m benchmarks.forgetting BUNDLE "
        "TASKS` does it for a bundle of yours.",
        "",
        "`keep_support=True` keeps the samples instead, and is right for every bundle. Plain "
        "gradient steps on new samples alone unlearn the old classes: that is what "
        "`Runner.adapt(..., state=learner)` does.",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
