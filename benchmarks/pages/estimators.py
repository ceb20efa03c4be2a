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
        "# Estimators: unknown classes, calibration, forgetting",
        "",
        "Written by `python -m benchmarks.pages.estimators` "
        "from `benchmarks/results/`; do not edit. On "
        "the packaged bundle `omniglot` and Omniglot's test characters, inductive, in per cent, "
        "unless stated otherwise.",
        "",
        "## Unknown",
        "",
        '`FewShotClassifier(bundle, reject=R)` predicts "unknown" for samples that are less '
        "familiar than R. `familiarity` compares the logit of the winning class with that of a "
        "class without samples; it is 1 if the difference is as large as on the class's own "
        "support samples. The queries are of the learned classes and of as many others, in "
        f"{result['episodes']['test']} episodes. All rows have one threshold, "
        f"{thresholds['familiarity']:.2f}. It was chosen on validation characters so that the "
        "share of known samples that are rejected equals the share of unknown ones that are "
        "accepted. The area is that under the ROC curve: 1 is perfect, 0.5 is chance. "
        "`edgemeta eval BUNDLE DATA --unknown N` measures your own bundle and data, and prints "
        "thresholds R for 1 % and 5 % false alarms.",
        "",
        unknown(settings, "familiarity"),
        "",
        "A threshold on the probability of the winning class, the usual choice, works less well: "
        "no single threshold works for different numbers of classes. Chosen in the same way, at "
        f"{thresholds['probability']:.4f}:",
        "",
        unknown(settings, "probability"),
        "",
        "On your own data, choose R on classes that your device need not learn, by the errors "
        "that you can accept. A head of fixed width has no class without samples; the mean over "
        "the head is used instead. This is not measured here.",
        "",
        "## Calibration",
        "",
        "Expected calibration error, 15 bins, over the queries of the same episodes. The "
        "temperature is found on support samples that are held out in turn, so each class needs "
        "two samples or more. With one, `calibrated_` is false and the probabilities are those of "
        "the bundle: right for the number of classes that it was trained on, too low for more.",
        "",
        calibration(settings),
        "",
        "## Later classes",
        "",
        "Five classes are learned together, then five more one by one. Accuracy on the queries of "
        "the five old classes and of all ten: "
        f"{forgotten['omniglot']['episodes']} episodes, ± 95 % confidence interval. In the last "
        "two rows one of the old classes was forgotten on purpose.",
        "",
        forgetting(forgotten["omniglot"]),
        "",
        "Without the support set, `partial_fit` averages states that were adapted separately "
        "(`edgemeta/estimators/_merging.py`). With one step in a linear head, as here, this equals "
        "learning from all samples at once. With several steps through all layers it is an "
        "approximation that is not measured here; `python -m benchmarks.forgetting BUNDLE TASKS` "
        "measures it for your bundle.",
        "",
        "`keep_support=True` keeps the samples instead and is exact for every bundle. Plain "
        "gradient steps on new samples alone, as in `Runner.adapt(..., state=learner)`, unlearn "
        "the old classes.",
        "",
        "## Bundles that name their classes",
        "",
        "Some bundles name their classes (`runner.manifest.labels`): class k means the same for "
        "everybody, and the bundle predicts it without samples. For `FewShotClassifier` with such "
        "a bundle:",
        "",
        "- Labels are these names; another one is refused. `classes_` are all classes of the "
        "bundle, in its order, whichever have samples. To predict without any sample, use "
        "`Runner.init`.",
        "- `partial_fit` adds samples to classes that are there already. Without the support set "
        "it averages states, see above.",
        "- `forget` drops the samples of a class, which is then as the bundle has it. It needs "
        "`keep_support=True`, as for every head of fixed width.",
        "- `predict_proba` is calibrated if two classes or more have samples, and each of these "
        "two or more. Classes without samples have no part in finding the temperature.",
        "- `familiarity` of a class without samples is measured by the mean of the other classes: "
        "1 is as familiar as their support samples on average. So `reject` works for all classes. "
        "How often it errs is not measured here.",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(page())
