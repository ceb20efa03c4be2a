"""What is rejected as unknown, and whether probabilities mean what they say.

python -m benchmarks.unknown

With the packaged bundle. An episode of Omniglot (MAML split, in $EDGEMETA_DATA or ../shared/data)
has twice as many classes as are learned: the samples of the other half should be unknown. Two
scores say how well a sample is known, `FewShotClassifier.familiarity` and the probability of the
winning class. For each one threshold is chosen, for all settings together, on characters of the
validation part: the one where as large a share of known samples is rejected as of unknown ones is
accepted. The figures are of the test part.
Writes benchmarks/results/unknown.json.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import edgemeta
from edgemeta.device.probabilities import softmax
from edgemeta.measure.unknown import roc_area
from edgemeta.tasks import EpisodeSize, Split, TaskSource, open_tasks

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "unknown.json"
SETTINGS = [(5, 1), (5, 5), (20, 1), (20, 5)]  # ways, shots
QUERIES = 5  # of each class
EPISODES: dict[Split, int] = {"val": 100, "test": 200}
SEED = 1
BINS = 15
GRID = np.linspace(0, 1, 2001)  # quantiles of the scores that are tried as thresholds
Floats = NDArray[np.float64]
Score = Callable[["Found"], tuple[Floats, Floats]]


class Found(NamedTuple):
    """What the queries of many episodes got; K known ones, U unknown ones."""

    familiarity: tuple[Floats, Floats]  # (K,), (U,)
    probability: tuple[Floats, Floats]  # (K,), (U,), of the winning class
    plain: Floats  # (K,) the same without calibration
    right: NDArray[np.bool_]  # (K,)
    calibrated: bool


SCORES: dict[str, Score] = {
    "familiarity": lambda found: found.familiarity,
    "probability": lambda found: found.probability,
}


def main() -> None:
    """Choose on the validation part, measure on the test part, print and write."""
    source = open_tasks("omniglot", data() / "omniglot28.npz")
    parts = {
        split: [look(source, split, ways, shots, count) for ways, shots in SETTINGS]
        for split, count in EPISODES.items()
    }
    thresholds = {name: equal_errors(score, parts["val"]) for name, score in SCORES.items()}
    rows = []
    for (ways, shots), found in zip(SETTINGS, parts["test"], strict=True):
        row = {
            "ways": ways,
            "shots": shots,
            "accuracy": float(found.right.mean()),
            "calibrated": found.calibrated,
            "ece_before": calibration_error(found.plain, found.right),
            "ece": calibration_error(found.probability[0], found.right),
            "scores": {
                name: rates(*score(found), thresholds[name]) for name, score in SCORES.items()
            },
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
    result = {"episodes": EPISODES, "queries": QUERIES, "thresholds": thresholds, "settings": rows}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def look(source: TaskSource, split: Split, ways: int, shots: int, episodes: int) -> Found:
    """Learn half of the classes of each episode and look at the queries of all."""
    classifier = edgemeta.FewShotClassifier(edgemeta.load("omniglot", threads=1))
    found = list(_each(source, split, ways, shots, episodes, classifier))
    familiarity, probability, plain, right, known = map(np.concatenate, zip(*found, strict=True))
    known = known.astype(bool)
    return Found(
        (familiarity[known], familiarity[~known]),
        (probability[known], probability[~known]),
        plain[known],
        right[known].astype(bool),
        classifier.calibrated_,
    )


def _each(
    source: TaskSource,
    split: Split,
    ways: int,
    shots: int,
    episodes: int,
    classifier: edgemeta.FewShotClassifier,
) -> Iterator[tuple[NDArray[np.float64], ...]]:
    size = EpisodeSize(2 * ways, shots, QUERIES)
    for index in range(episodes):
        episode = source.episode(split, size, SEED, index)
        mine = episode.support_y < ways
        classifier.fit(episode.support_x[mine], episode.support_y[mine])
        probabilities = classifier.predict_proba(episode.query_x)
        plain = softmax(np.log(probabilities) * classifier.temperature_)
        yield (
            classifier.familiarity(episode.query_x),
            probabilities.max(1),
            plain.max(1),
            (probabilities.argmax(1) == episode.query_y).astype(float),
            (episode.query_y < ways).astype(float),
        )


def equal_errors(score: Score, settings: list[Found]) -> float:
    """Return the threshold with as large a share of false rejects as of false accepts."""
    pairs = [score(found) for found in settings]  # each setting counts alike
    candidates = np.quantile(np.concatenate([np.concatenate(pair) for pair in pairs]), GRID)
    rejects, accepts = (
        np.mean([share(pair, candidates) for pair in pairs], 0)
        for share in (_false_rejects, _false_accepts)
    )
    return float(candidates[np.argmin(np.abs(rejects - accepts))])


def _false_rejects(pair: tuple[Floats, Floats], thresholds: Floats) -> Floats:
    return np.searchsorted(np.sort(pair[0]), thresholds) / len(pair[0])


def _false_accepts(pair: tuple[Floats, Floats], thresholds: Floats) -> Floats:
    return 1 - np.searchsorted(np.sort(pair[1]), thresholds) / len(pair[1])


def rates(known: Floats, unknown: Floats, threshold: float) -> dict[str, float]:
    """Return the shares of errors at a threshold, and the area under the ROC curve."""
    return {
        "false_reject": float((known < threshold).mean()),
        "false_accept": float((unknown >= threshold).mean()),
        "area": roc_area(known, unknown),
    }


def calibration_error(probability: Floats, right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over `BINS` bins of equal width (Guo et al. 2017)."""
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    apart = np.bincount(places, weights=probability - right, minlength=BINS)
    return float(np.abs(apart).sum() / len(right))


def data() -> Path:
    """Return where the data lies."""
    folder = Path(os.environ.get("EDGEMETA_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"no data at {folder}: set EDGEMETA_DATA")
    return folder


if __name__ == "__main__":
    main()
