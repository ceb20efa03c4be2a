"""What meta-learning buys: a run beside what one would do without it, on the same episodes.

| init | method | |
|---|---|---|
| meta-learned | as trained | the run, with its own inner steps and rates |
| pretrained | head | supervised pre-training, then only the head adapts |
| pretrained | all weights | the same, and everything adapts |
| pretrained | prototype | the same, nothing adapts: nearest mean of the support features |
| meta-learned | prototype | the run's features, nothing adapts |
| random | all weights | the weights that the run started from |

Pre-training is a run of its own, RUN/baselines/pretrained: same data, model, seed, outer steps,
samples per outer step. For regression, whose tasks have no classes in common, it fits one function
to all tasks (`inner_steps = 0`), and there are no prototypes. How many steps of plain gradient
descent the baselines take, and at which rate, is chosen for each on the validation part; the test
part sees only what was chosen. Sources: Chen et al. 2019, "A Closer Look at Few-shot
Classification" (pre-training), Snell et al. 2017, "Prototypical Networks for Few-shot Learning".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Adapter, Estimate, evaluate, mean_and_ci95
from edgemeta.meta.compare._prototype import PrototypeAdapter
from edgemeta.meta.compare._supervised import supervised_baseline, supervised_config
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.runs.adapter import TorchAdapter, evaluate_steps, samples_of
from edgemeta.meta.runs.algorithms import HEAD
from edgemeta.meta.runs.building import head_ways, make_model, trained_names
from edgemeta.meta.runs.devices import CPU
from edgemeta.meta.runs.frozen import behind_frozen
from edgemeta.meta.runs.run import Run, Trained
from edgemeta.meta.runs.seeding import OwnRandomness
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta.tasks.source import TaskKind, input_of

Init = Literal["meta-learned", "pretrained", "random"]
Method = Literal["as trained", "head", "all weights", "prototype"]


class Contestant(NamedTuple):
    """An init, and what is done with it."""

    init: Init
    method: Method


CONTESTANTS = (
    Contestant("meta-learned", "as trained"),
    Contestant("pretrained", "head"),
    Contestant("pretrained", "all weights"),
    Contestant("pretrained", "prototype"),
    Contestant("meta-learned", "prototype"),
    Contestant("random", "all weights"),
)
ADAPTED: dict[Method, tuple[str, ...]] = {"head": HEAD, "all weights": ("*",)}

GRID_STEPS = (1, 5, 10, 20)
# Gradients of a squared error of waves of amplitude 5 are steeper than those of a cross entropy.
GRID_RATES = {"classification": (0.01, 0.1, 0.4), "regression": (0.001, 0.01, 0.1)}
GRID_EPISODES = 100  # at most
DECIMALS = 6  # of the scores that are kept


def compare(
    path: Path | Run,
    *,
    episodes: int = 600,
    seed: int = 0,
    shots: int | None = None,
    pretrain_iterations: int | None = None,
) -> dict[str, Any]:
    """Evaluate a run and its baselines; write RUN/baselines.json.

    What is there already is used again: a finished pre-training, an unfinished one as far as it
    went, and every figure that was measured with the same weights on the same episodes.

    Args:
        path: the meta-learned run. One whose model has no features and head of its own (no
            `FewShotModel`) is compared with its start alone.
        episodes: of the test part, at least 2.
        seed: of the episodes.
        shots: support samples per class (regression: in all); None for as many as in the training.
        pretrain_iterations: outer steps of the pre-training; None for as many as the run's.

    Returns:
        What was written: `setting`, `grid` and `contestants`, each with `mean`, `ci95` and `scores`
        by episode (None where adapting diverged), the `gain` of the run over it, and where it was
        chosen the best of its `grid`.

    Raises:
        InputError: there is no run, it was not meta-learned, or another pre-training is there.
    """
    if episodes < 2:
        raise InputError("too few episodes", got=episodes, expected="at least 2")
    run = path if isinstance(path, Run) else Run(path)
    trained = run.best()
    supervised = supervised_config(trained.config, trained.statistics.kind, pretrain_iterations)
    source = run.open_tasks()
    torch.set_num_threads(trained.config.cores)
    with OwnRandomness(trained.config.seed):  # as the trainer does
        start = make_model(trained.config, trained.statistics, run.model)
    inits: dict[Init, Trained] = {
        "meta-learned": trained,
        "random": trained._replace(model=start, rates=trained.config.inner_lr),
    }
    if isinstance(trained.model, FewShotModel):
        supervised_run = Run(run.pretrained_path, model=run.model, source=source)
        inits["pretrained"] = supervised_baseline(supervised, supervised_run)
    shots = trained.config.shots if shots is None else shots
    return _Comparison(run, inits, source, episodes, seed, shots).measure()


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
    ) -> None:
        self._run, self._inits, self._seed = run, inits, seed
        self._cache = FeatureCache(source)
        self._grounds: dict[Contestant, tuple[InnerLoop, TaskSource]] = {}
        config, statistics = inits["meta-learned"].config, inits["meta-learned"].statistics
        self._kind = statistics.kind
        self._size = EpisodeSize(config.ways, shots, config.evaluation_queries)
        self._contestants = [
            contestant
            for contestant in CONTESTANTS
            if contestant.init in inits
            and (
                contestant.method != "prototype"
                or (statistics.kind == "classification" and "pretrained" in inits)
            )
        ]
        sizes = asdict(self._size) | {"seed": seed}
        if statistics.kind == "regression":
            del sizes["ways"]
        self._record: dict[str, Any] = {
            "tasks": Path(config.tasks).name,
            "metric": "accuracy" if statistics.kind == "classification" else "mse",
            "statistics": "inductive" if config.inductive else "transductive",
            "setting": sizes | {"split": "test", "episodes": episodes},
            "grid": sizes
            | {"split": "val", "episodes": min(episodes, GRID_EPISODES)}
            | {"steps": list(GRID_STEPS), "inner_lr": list(GRID_RATES[statistics.kind])},
            "contestants": [],
        }

    def measure(self) -> dict[str, Any]:
        """Measure what is not there yet; return the whole record."""
        grid, setting = self._record["grid"], self._record["setting"]
        entries = self._record["contestants"] = self._known_entries()
        ticks = sum(
            ("grid" not in e and e["method"] in ADAPTED) * len(grid["inner_lr"]) * grid["episodes"]
            + ("scores" not in e) * setting["episodes"]
            for e in entries
        )
        with tqdm(total=ticks, unit="episode", disable=None if ticks else True) as progress:
            for contestant, entry in zip(self._contestants, entries, strict=True):
                progress.set_description(f"{contestant.init}, {contestant.method}")
                self._complete(contestant, entry, progress)
        for entry in entries[1:]:
            entry["gain"] = gain(entries[0], entry, self._kind)
        self._run.write_baselines(self._record)
        return self._record

    def _known_entries(self) -> list[dict[str, Any]]:
        """Return an entry for each contestant, with the figures that still hold."""
        old = self._run.baselines() or {"contestants": []}
        same = {key: old.get(key) == self._record[key] for key in ("grid", "setting")}
        known = {(e["init"], e["method"], e["weights"]): e for e in old["contestants"]}
        entries = []
        for contestant in self._contestants:
            weights = _digest(self._inits[contestant.init])
            before = known.get((*contestant, weights), {})
            entry = contestant._asdict() | {"weights": weights}
            searches = contestant.method in ADAPTED
            if same["setting"] and (same["grid"] or not searches):
                entry |= before
            elif same["grid"] and "grid" in before:
                entry["grid"] = before["grid"]
            entries.append(entry)
        return entries

    def _complete(self, contestant: Contestant, entry: dict[str, Any], progress: tqdm[Any]) -> None:
        """Add what is missing of a contestant to its entry."""
        if contestant.method in ADAPTED and "grid" not in entry:
            entry["grid"] = self._search(contestant, progress)
            self._run.write_baselines(self._record)
        if "scores" not in entry:
            adapter, source = self._adapter(contestant, entry)
            with np.errstate(over="ignore", invalid="ignore"):  # a divergence is a result, too
                found = evaluate(
                    adapter,
                    source,
                    self._size,
                    episodes=self._record["setting"]["episodes"],
                    seed=self._seed,
                    tick=progress.update,
                )
            entry |= _finite(Estimate(found.mean, found.ci95))
            entry["scores"] = [round(score, DECIMALS) for score in found.scores.tolist()]
            if entry["mean"] is None:
                entry["scores"] = None
            self._run.write_baselines(self._record)

    def _search(self, contestant: Contestant, progress: tqdm[Any]) -> list[dict[str, Any]]:
        """Return the validation figures of the whole grid; the steps of a rate share their way."""
        grid = self._record["grid"]
        figures = []
        for rate in grid["inner_lr"]:
            found = evaluate_steps(
                *self._fine_tuning(contestant, max(grid["steps"]), rate),
                self._size,
                steps=grid["steps"],
                episodes=grid["episodes"],
                seed=self._seed,
                split="val",
                tick=progress.update,
            )
            figures += [{"steps": n, "inner_lr": rate} | _finite(e) for n, e in found.items()]
        return figures

    def _adapter(self, contestant: Contestant, entry: dict[str, Any]) -> tuple[Adapter, TaskSource]:
        """Return a contestant as something to evaluate, on what, and note its choices."""
        config, statistics, _, rates = trained = self._inits[contestant.init]
        if contestant.method == "prototype":
            loop, source = self._ground(contestant)
            if not isinstance(loop.model, FewShotModel):  # features that cannot be told apart
                loop, source = trained.loop(), self._cache.source
            ways = config.ways
            return PrototypeAdapter(loop.model, input=input_of(source), ways=ways), source
        if contestant.method == "as trained":
            learned = isinstance(rates, Mapping)
            entry |= {
                "steps": config.inner_steps,
                "inner_lr": f"learned per {config.rates}" if learned else config.inner_lr,
            }
            loop, source = self._ground(contestant)
            statistics = replace(statistics, input=input_of(source))
            return TorchAdapter.of(loop, config, statistics, rates), source
        chosen = best_point(entry["grid"], self._kind)
        entry |= chosen
        return self._fine_tuning(contestant, **chosen)

    def _fine_tuning(
        self, contestant: Contestant, steps: int, inner_lr: float
    ) -> tuple[TorchAdapter, TaskSource]:
        config, statistics, _, _ = self._inits[contestant.init]
        loop, source = self._ground(contestant)
        return TorchAdapter(
            loop,
            input=input_of(source),
            ways=head_ways(config, statistics),
            inner_steps=steps,
            inner_lr=inner_lr,
        ), source

    def _ground(self, contestant: Contestant) -> tuple[InnerLoop, TaskSource]:
        """Return a contestant's inner loop, and the source, without what is frozen in front."""
        if contestant not in self._grounds:
            trained = self._inits[contestant.init]
            config, statistics, model, _ = trained
            if contestant.method == "as trained":
                loop = trained.loop()
            else:  # prototypes adapt nothing: a head has no influence
                loop = InnerLoop(
                    model, LOSSES[statistics.kind], ADAPTED.get(contestant.method, HEAD)
                )
            ground = loop, self._cache.source
            if config.cache != "off":
                asked = sum(self._record[name]["episodes"] for name in ("grid", "setting"))
                moved = trained_names(model, config.trained)
                looks = samples_of(self._size, asked)
                ground = behind_frozen(loop, moved, self._cache, CPU, looks=looks)
            self._grounds[contestant] = ground
        return self._grounds[contestant]


def gain(run: dict[str, Any], baseline: dict[str, Any], kind: TaskKind) -> dict[str, float] | None:
    """Return by how much a run is better than a baseline; None where either diverged.

    Both saw the same episodes, so the interval is that of the differences by episode: how hard an
    episode is cancels out.

    Args:
        run: entry of the run, with `scores`.
        baseline: of another.
        kind: of the tasks; for regression, less is better.
    """
    if run["scores"] is None or baseline["scores"] is None:
        return None
    apart = np.array(run["scores"]) - np.array(baseline["scores"])
    return mean_and_ci95((apart if kind == "classification" else -apart).tolist())._asdict()


def best_point(grid: list[dict[str, Any]], kind: TaskKind) -> dict[str, Any]:
    """Return the steps and inner_lr of the best validation figure; of equals, the first.

    Raises:
        InputError: adapting diverges everywhere.
    """
    finite = [point for point in grid if point["mean"] is not None]
    if not finite:
        raise InputError("adapting diverges at every point of the grid", hint="is the data scaled?")
    sign = 1 if kind == "classification" else -1
    best = max(finite, key=lambda point: sign * point["mean"])
    return {"steps": best["steps"], "inner_lr": best["inner_lr"]}


def _finite(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate for JSON, which has no infinity."""
    return {n: v if math.isfinite(v) else None for n, v in estimate._asdict().items()}


def _digest(trained: Trained) -> str:
    """Return a hash of an init and its rates: figures of other weights are no longer true."""
    digest = hashlib.sha256()
    rates = (
        trained.rates
        if isinstance(trained.rates, Mapping)
        else {"": torch.as_tensor(trained.rates)}
    )
    for part in (trained.model.state_dict(), rates):
        for name, tensor in part.items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
