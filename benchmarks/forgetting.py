"""What is forgotten when classes come later, and when one is taken away.

python -m benchmarks.forgetting [BUNDLE TASKS]

On the packaged bundle with Omniglot (MAML split, in $EDGEMETA_DATA or ../shared/data), or on
another bundle with a shared head and embedded tasks, such as one of `edgemeta train glyphs --head
shared`. Five classes are learned at once, five more one after the other; accuracy on the queries of
the old five and of all ten, by four ways: all at once, which is the most to be had; `partial_fit`
with the support set kept and without; and plain gradient steps on the new samples, from the present
state. Then one of the old classes is forgotten again. Episodes of the test part. Writes into
benchmarks/results/forgetting.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgemeta
from benchmarks.unknown import data
from edgemeta import FewShotClassifier, Runner
from edgemeta.measure.evaluate import mean_and_ci95
from edgemeta.tasks import Episode, EpisodeSize, open_tasks

RESULT = Path(__file__).resolve().parent / "results" / "forgetting.json"
OLD, WAYS, QUERIES = 5, 10, 10
EPISODES = 300
SEED = 1
SHOTS = (1, 5)
FIRST = "the old five, before"
TOGETHER, KEPT, MERGED, STEPS = "all at once", "support set kept", "partial_fit", "gradient steps"
FORGOTTEN, NEVER = "partial_fit, one forgotten", "all at once without it"


def main(runner: Runner, name: str, tasks: str, root: Path | None) -> None:
    """Measure, print and write."""
    source = open_tasks(tasks, root)
    measured: dict[str, Any] = {}
    for shots in SHOTS:
        size = EpisodeSize(WAYS, shots, QUERIES)
        scores: dict[str, list[tuple[float, float]]] = {}
        for index in range(EPISODES):
            for way, found in one(runner, source.episode("test", size, SEED, index)).items():
                scores.setdefault(way, []).append(found)
        measured[str(shots)] = {
            way: {
                "old": mean_and_ci95([old for old, _ in pairs])._asdict(),
                "all": mean_and_ci95([every for _, every in pairs])._asdict(),
            }
            for way, pairs in scores.items()
        }
        print(name, shots, json.dumps(measured[str(shots)], indent=1), flush=True)
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    results[name] = {"episodes": EPISODES, "steps": runner.manifest.inner_steps, "shots": measured}
    RESULT.write_text(json.dumps(results, indent=1) + "\n")


def one(runner: Runner, episode: Episode) -> Mapping[str, tuple[float, float]]:
    """Return the accuracy on old classes and on all, by the way that they were learned."""
    x, y = episode.support_x, episode.support_y
    lessons = [y < OLD, *(y == label for label in range(OLD, WAYS))]
    options: dict[str, Any] = {"calibrate": False}
    together = FewShotClassifier(runner, **options).fit(x, y)
    kept = FewShotClassifier(runner, keep_support=True, **options)
    merged = FewShotClassifier(runner, **options)
    learner = None
    for lesson in lessons:
        kept.partial_fit(x[lesson], y[lesson])
        merged.partial_fit(x[lesson], y[lesson])
        learner = runner.adapt(x[lesson], y[lesson], state=learner)
    assert learner is not None  # noqa: S101
    first = FewShotClassifier(runner, **options).fit(x[lessons[0]], y[lessons[0]])
    query_x, query_y = episode.query_x, episode.query_y
    old = query_y < OLD
    accuracy = first.score(query_x[old], query_y[old])
    found = {
        FIRST: (accuracy, accuracy),
        TOGETHER: right(together.predict(query_x), query_y),
        KEPT: right(kept.predict(query_x), query_y),
        MERGED: right(merged.predict(query_x), query_y),
        STEPS: right(learner.predict(query_x), query_y),
    }
    stay, asked = y > 0, query_y > 0
    never = FewShotClassifier(runner, **options).fit(x[stay], y[stay])
    found[FORGOTTEN] = right(merged.forget(0).predict(query_x[asked]), query_y[asked])
    found[NEVER] = right(never.predict(query_x[asked]), query_y[asked])
    return found


def right(found: NDArray[Any], query_y: NDArray[np.int64]) -> tuple[float, float]:
    """Return the accuracy on the old classes and on all."""
    hits = found == query_y
    return float(hits[query_y < OLD].mean()), float(hits.mean())


def arguments(given: Sequence[str]) -> tuple[Runner, str, str, Path | None]:
    """Return the arguments of `main`."""
    if not given:
        root = data() / "omniglot28.npz"
        return edgemeta.load("omniglot", threads=1), "omniglot", "omniglot", root
    path, tasks = given
    return Runner(path, threads=1), tasks, tasks, None


if __name__ == "__main__":
    main(*arguments(sys.argv[1:]))
