"""What meta-learning buys: a run beside what one would do without it, on the same episodes.

`_contestants` has the list. Pre-training is a run of its own, RUN/baselines/pretrained: same data,
augmentation, model, seed, samples in all. For regression, whose tasks have no classes in common, it
fits one function to all tasks (`inner_steps = 0`), and there are no classifiers on features. What a
baseline leaves open, such as the steps of plain gradient descent and their rate, is chosen for each
on the validation part; the test part sees only what was chosen. Sources: Chen et al. 2019, "A
Closer Look at Few-shot Classification" (pre-training); `_on_features` names the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Estimate, Evaluation, evaluate, mean_and_ci95
from edgemeta.meta.compare._adapters import Adapters
from edgemeta.meta.compare._contestants import (
    ADAPTED,
    ON_FEATURES,
    Contestant,
    Init,
    contestants,
    grid_of,
)
from edgemeta.meta.compare._inits import digest, find_inits
from edgemeta.meta.compare.record import best_point, called, finite, gain
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.runs.adapter import evaluate_steps, samples_of
from edgemeta.meta.runs.run import Run, Trained
from edgemeta.tasks import EpisodeSize, TaskSource

GRID_EPISODES = 100  # at most
CURVE_SHOTS = (1, 2, 5, 10)  # and those of the setting
DECIMALS = 6  # of the scores that are kept


def compare(
    path: Path | Run,
    *,
    episodes: int = 600,
    seed: int = 0,
    shots: int | None = None,
    pretrain_iterations: int | None = None,
    curve_episodes: int = 100,
) -> dict[str, Any]:
    """Evaluate a run and its baselines; write RUN/baselines.json.

    What is there already is used again: a finished pre-training, an unfinished one as far as it
    went, and every figure that was measured with the same weights on the same episodes.

    Args:
        path: the run. One whose model has no features and head of its own (no `FewShotModel`) is
            compared with its start alone. A pre-training is compared with other uses of its
            weights.
        episodes: of the test part, at least 2.
        seed: of the episodes.
        shots: support samples per class (regression: in all); None for as many as in the training.
        pretrain_iterations: outer steps of the pre-training; None for as many as show the samples
            that the run has seen.
        curve_episodes: for each number of `CURVE_SHOTS`, of `episodes` at most; 0 for no curve.

    Returns:
        What was written; see `record`.

    Raises:
        InputError: there is no run, a number is out of range, or another pre-training is there.

    Example:
        record = compare(Path("runs/mine"), episodes=100)
        run, *baselines = record["contestants"]
    """
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")
    if curve_episodes < 0 or curve_episodes == 1:
        raise InputError("curve_episodes is out of range", got=curve_episodes, expected="0, or >1")
    run = path if isinstance(path, Run) else Run(path)
    trained = run.best()
    source = run.open_tasks()
    torch.set_num_threads(trained.config.cores)
    shots = trained.config.shots if shots is None else shots
    inits = find_inits(run, trained, source, pretrain_iterations)
    return _Comparison(run, inits, source, episodes, seed, shots, curve_episodes).measure()


class _Comparison:
    """Measures contestants, and writes after each figure, so that no interruption costs one."""

    def __init__(
        self,
        run: Run,
        inits: Mapping[Init, Trained],
        source: TaskSource,
        episodes: int,
        seed: int,
        shots: int,
        curve_episodes: int,
    ) -> None:
        self._run, self._inits, self._seed, self._source = run, inits, seed, source
        config, statistics, model, _ = next(iter(inits.values()))
        self._kind = statistics.kind
        self._fixed = bool(statistics.labels)
        self._size = EpisodeSize(config.ways, shots, config.evaluation_queries)
        self._contestants = contestants(
            inits, self._kind, fixed=self._fixed, features=isinstance(model, FewShotModel)
        )
        sizes = asdict(self._size) | {"seed": seed}
        if self._kind == "regression":
            del sizes["ways"]
        grids = {n: v for c in self._contestants for n, v in grid_of(c.method, self._kind).items()}
        points = {"episodes": min(curve_episodes, episodes), "shots": sorted({*CURVE_SHOTS, shots})}
        self._record: dict[str, Any] = {
            "tasks": Path(config.tasks).name,
            "metric": "accuracy" if self._kind == "classification" else "mse",
            "statistics": "inductive" if config.inductive else "transductive",
            "setting": sizes | {"split": "test", "episodes": episodes},
            "grid": sizes | {"split": "val", "episodes": min(episodes, GRID_EPISODES)} | grids,
            "curve": sizes | {"split": "test"} | points if curve_episodes else None,
            "contestants": [],
        }
        asked = sum(self._record[name]["episodes"] for name in ("grid", "setting"))
        self._adapters = Adapters(inits, source, looks=samples_of(self._size, asked))

    def measure(self) -> dict[str, Any]:
        """Measure what is not there yet; return the whole record."""
        entries = self._record["contestants"] = self._known_entries()
        pairs = list(zip(self._contestants, entries, strict=True))
        ticks = sum(self._ticks(*pair) for pair in pairs)
        with tqdm(total=ticks, unit="episode", disable=None if ticks else True) as progress:
            for measure in (self._complete, self._draw):
                for contestant, entry in pairs:
                    progress.set_description(called(entry))
                    measure(contestant, entry, progress)
        for entry in entries[1:]:
            entry["gain"] = gain(entries[0], entry, self._kind)
        self._run.write_baselines(self._record)
        return self._record

    def _known_entries(self) -> list[dict[str, Any]]:
        """Return an entry for each contestant, with the figures that still hold."""
        old = self._run.baselines() or {"contestants": []}
        same = {key: old.get(key) == self._record[key] for key in ("grid", "setting", "curve")}
        known = {(e["init"], e["method"], e["weights"]): e for e in old["contestants"]}
        entries = []
        for contestant in self._contestants:
            weights = digest(self._inits[contestant.init])
            before = dict(known.get((*contestant, weights), {}))
            entry = contestant._asdict() | {"weights": weights}
            chooses = bool(grid_of(contestant.method, self._kind))
            if not (same["curve"] and (same["grid"] or not chooses)):
                before.pop("curve", None)
            if same["setting"] and (same["grid"] or not chooses):
                entry |= before
            elif same["grid"] and "grid" in before:
                entry["grid"] = before["grid"]
            entries.append(entry)
        return entries

    def _ticks(self, contestant: Contestant, entry: dict[str, Any]) -> int:
        """Return how many episodes are still to be adapted to."""
        grid, setting, curve = (self._record[name] for name in ("grid", "setting", "curve"))
        ticks = 0
        if "grid" not in entry:  # the steps of a rate share their way
            ticks += len(self._rates(contestant)) * grid["episodes"]
        if "scores" not in entry:
            ticks += setting["episodes"]
        if curve is not None:
            missing = len(self._shots(contestant)) - len(entry.get("curve", ()))
            ticks += missing * curve["episodes"]
        return ticks

    def _complete(self, contestant: Contestant, entry: dict[str, Any], progress: tqdm[Any]) -> None:
        """Add what is missing of a contestant's choice and figure to its entry."""
        if self._rates(contestant) and "grid" not in entry:
            entry["grid"] = self._search(contestant, progress)
            self._run.write_baselines(self._record)
        if "scores" not in entry:
            episodes = self._record["setting"]["episodes"]
            found = self._evaluate(contestant, entry, self._size, episodes, progress)
            entry |= finite(Estimate(found.mean, found.ci95))
            scores = [round(score, DECIMALS) for score in found.scores.tolist()]
            entry["scores"] = None if entry["mean"] is None else scores
            self._run.write_baselines(self._record)

    def _draw(self, contestant: Contestant, entry: dict[str, Any], progress: tqdm[Any]) -> None:
        """Add the missing points of a contestant's curve to its entry."""
        curve = self._record["curve"]
        if curve is None:
            return
        points = entry.setdefault("curve", [])
        known = {point["shots"] for point in points}
        for shots in self._shots(contestant):
            if shots in known:
                continue
            size = replace(self._size, shots=shots or 1)  # no shots: no step, whatever is shown
            if not self._has(size):
                progress.update(curve["episodes"])
                continue
            scores: list[float] | None
            if contestant.method == "no adaptation" or shots == self._size.shots:
                scores = entry["scores"] and entry["scores"][: curve["episodes"]]
                progress.update(curve["episodes"])
            else:
                steps = None if shots else 0
                scores = self._evaluate(
                    contestant, entry, size, curve["episodes"], progress, steps
                ).scores.tolist()
            estimate = Estimate(math.nan, math.nan) if scores is None else mean_and_ci95(scores)
            points.append({"shots": shots} | finite(estimate))
            self._run.write_baselines(self._record)

    def _shots(self, contestant: Contestant) -> list[int]:
        """Return for which shots a contestant has a point, as far as the data have samples."""
        if contestant.method == "no adaptation":
            return [0]
        at_once = self._fixed and contestant.method not in ON_FEATURES
        return [*([0] if at_once else []), *self._record["curve"]["shots"]]

    def _has(self, size: EpisodeSize) -> bool:
        """Whether the test part has the samples of such an episode."""
        try:
            self._source.episode("test", size, self._seed, 0)
        except InputError:
            return False
        return True

    def _rates(self, contestant: Contestant) -> list[float]:
        """Return the values of a contestant's grid that need an adaptation each."""
        grid = grid_of(contestant.method, self._kind)
        return grid.get("inner_lr", grid.get("C", []))

    def _search(self, contestant: Contestant, progress: tqdm[Any]) -> list[dict[str, Any]]:
        """Return the validation figures of the whole grid."""
        grid = self._record["grid"]
        told = {
            "episodes": grid["episodes"],
            "seed": self._seed,
            "split": "val",
            "tick": progress.update,
        }
        figures: list[dict[str, Any]] = []
        for value in self._rates(contestant):
            if contestant.method not in ADAPTED:
                adapter, source = self._adapters.on_features(contestant, value)
                found = evaluate(adapter, source, self._size, **told)
                figures.append({"C": value, **finite(Estimate(found.mean, found.ci95))})
                continue
            tuned, source = self._adapters.fine_tuning(contestant, max(grid["steps"]), value)
            by_steps = evaluate_steps(tuned, source, self._size, steps=grid["steps"], **told)
            figures += [{"steps": n, "inner_lr": value, **finite(e)} for n, e in by_steps.items()]
        return figures

    def _note_choice(self, contestant: Contestant, entry: dict[str, Any]) -> None:
        """Write down how a contestant adapts."""
        config, _, _, rates = self._inits[contestant.init]
        if "grid" in entry:
            entry |= best_point(entry["grid"], self._kind)
        elif contestant.method == "as trained":
            learned = isinstance(rates, Mapping)
            entry |= {
                "steps": config.inner_steps,
                "inner_lr": f"learned per {config.rates}" if learned else config.inner_lr,
            }

    def _evaluate(
        self,
        contestant: Contestant,
        entry: dict[str, Any],
        size: EpisodeSize,
        episodes: int,
        progress: tqdm[Any],
        steps: int | None = None,
    ) -> Evaluation:
        """Return what a contestant reaches on test episodes; note its choices."""
        self._note_choice(contestant, entry)
        adapter, source = self._adapters.make(contestant, entry)
        with np.errstate(over="ignore", invalid="ignore"):  # a divergence is a result, too
            return evaluate(
                adapter,
                source,
                size,
                episodes=episodes,
                seed=self._seed,
                steps=steps,
                tick=progress.update,
            )
