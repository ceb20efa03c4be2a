"""Trains what the data ask for: candidates, compared on validation tasks; the winner is the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edgemeta.errors import InputError
from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.recipe import _adapting as adapting
from edgemeta.meta.recipe import _candidates as candidates
from edgemeta.meta.recipe._budget import seconds_per_step, steps_within
from edgemeta.meta.recipe._candidates import Candidate
from edgemeta.meta.recipe._options import by_hand, resumed_given, write_given
from edgemeta.meta.recipe._size import fitting_size, shots_to_compare
from edgemeta.meta.recipe._training import Job, rounds, train_all, with_threads, workers_for
from edgemeta.meta.recipe._winner import write_winner
from edgemeta.meta.recipe.choosing import Scored, cheapest, first_good
from edgemeta.meta.recipe.table import compared_rows
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import choose_device
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.reading import with_ready_data
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import TaskSource
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.fixed_labels import may_be_fixed, with_fixed_labels
from edgemeta.tasks.kinds import data_kind
from edgemeta.tasks.source import SPLITS

PRETRAINING_SHARE, META_SHARE = 0.6, 0.15  # of the minutes; the rest goes into validation
MOST_PRETRAINING, MOST_META = 4000, 800  # outer steps, however many minutes there are
VALIDATIONS = 4  # of a training, for which it stands still
BODY_STEPS = 200  # of a neck behind a frozen body, whose features are computed once
LEAST_EPISODES, MOST_EPISODES, EPISODES_A_MINUTE = 30, 150, 5
"""Validation tasks that a choice is made on, for each number of shots."""
FEW_CLASSES = 20
"""With fewer training classes, what tells these apart says little about others (docs/recipe.md)."""


class Recipe:
    """One run of the recipe, in the directory of the run that it makes.

    Args:
        path: of the run.
        given: options of the user, fields of `TrainConfig`: some of `CHOSEN_BY_USERS`.
        source: of the tasks, where they are an object of Python.
        resume: go on with what is there.
        say: is told what happens, in lines for people.

    Raises:
        InputError: the tasks cannot be opened or are no classification, an option is the recipe's
            to choose, or the directory is taken.

    Example:
        result = Recipe(Path("runs/mine"), {"tasks": "recordings"}).train()
    """

    def __init__(
        self,
        path: Path,
        given: dict[str, Any],
        *,
        source: TaskSource | None = None,
        resume: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        given = with_ready_data(given)
        self.run = Run(path, source=source)
        self.folder = self.run.recipe_folder
        self._given_path = self.folder / "given.toml"
        self._say = say
        if odd := by_hand(list(given)):
            raise InputError(
                "the recipe chooses these itself",
                got=", ".join(odd),
                hint="leave them out, or train by hand with --recipe none",
            )
        if not Ranks.alone():
            raise InputError(
                "the recipe trains in one process",
                hint="start it without torchrun, or train by hand: --recipe none",
            )
        if resume:
            given = resumed_given(self._given_path, given)
        else:
            self.run.check_free()
        self.given = {n: v for n, v in given.items() if n != "recipe"}
        self._given_source = source
        config = TrainConfig(**self.given)
        choose_device(config.device)  # one that is not there is said now, and nothing is written
        source = source or open_run_tasks(config)
        if not isinstance(source, ClassSource):
            raise InputError(
                "the recipe is for classification",
                got=f"{source.name}: {source.kind}",
                hint="train by hand: --recipe none",
            )
        self.kind = data_kind(source)
        self.source: ClassSource = source
        self.base = self._base(config)
        if self._is_fixed:
            self.source = with_fixed_labels(source)
        self._sources = {config.data: self.source}
        self.shots = shots_to_compare(source, self.base)
        self.minutes = config.minutes
        self.record: dict[str, Any] = (self.run.recipe() if resume else None) or {
            "minutes": self.minutes,
            "kind": self.kind,
            "labels": self.base["labels"],
            "shots": list(self.shots),
            "episodes": int(
                min(max(EPISODES_A_MINUTE * self.minutes, LEAST_EPISODES), MOST_EPISODES)
            ),
            "notes": self._notes(),
            "plan": {},
            "compared": [],
        }

    @staticmethod
    def began(path: Path) -> bool:
        """Whether a directory holds a run of the recipe, finished or not."""
        return (path / "recipe" / "given.toml").is_file()

    def train(self) -> dict[str, Any]:
        """Train the candidates, choose, and test what was chosen.

        Interrupting it (KeyboardInterrupt) loses nothing: `resume` goes on.

        Returns:
            The result, as written to result.json.

        Raises:
            TrainingError: a loss is not finite.
        """
        if (result := self.run.result()) is not None:
            return result
        if not self._given_path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_given(self._given_path, self.given)
        for note in self.record["notes"]:
            self._say(f"note: {note}")
        inits = self._bodies()
        for candidate in inits:
            self.record["plan"].setdefault(candidate.name, BODY_STEPS)
            self._train(candidate)
        if not self.base.get("body"):
            inits += self._from_scratch()
        chosen = cheapest([scored for each in inits for scored in self._measure(each)])
        return self._finish(next(c for c in inits if c.name == chosen.init), chosen)

    def _from_scratch(self) -> list[Candidate]:
        """Train networks of ours; return the best pre-training, and what comes after it."""
        starts = candidates.pretrainings(self.base, self.source)
        self._plan(starts)
        self._train(*starts)
        start = self._best_start(starts)
        later = self._meta_training(start)
        self._train(later)
        return [start, later]

    def stopped(self) -> str:
        """Return how far it has come, for people."""
        done = sum(Run(self.folder / name).result() is not None for name in self.record["plan"])
        return f"stopped with {done} candidates trained"

    def close(self) -> None:
        """Do nothing: what candidates began has ended with their training."""

    def _base(self, config: TrainConfig) -> dict[str, Any]:
        """Return the options of all candidates."""
        asked = self.given.get("labels", "auto")
        may_be = asked == "auto" and not config.body and may_be_fixed(self.source)
        fixed = asked == "fixed" or may_be
        network = {} if config.body else candidates.network_for(self.kind, self.source.input_shape)
        own = {n: v for n, v in self.given.items() if n not in ("minutes", "labels")}
        labels = candidates.FIXED if fixed else candidates.SHUFFLED
        every = {"ways": len(self.source.classes("train"))} if fixed else {}
        size = fitting_size(self.source, every | self.given)
        # Of all candidates only the winner meets the test part.
        return {**network, **labels, **size, **own, "test_episodes": 0}

    def _notes(self) -> list[str]:
        """Return what a user should know of the data before they wait."""
        count = len(self.source.classes("train"))
        if self._is_fixed or count >= FEW_CLASSES or self.base.get("body"):
            return []
        body = candidates.BODIES.get(self.kind)
        help_ = f"a pre-trained body (--body {body}) or " if body else ""
        return [
            f"{count} training classes are few: what tells them apart says little about new ones. "
            f"What helps: {help_}recordings, pictures or samples of more classes, even unrelated"
        ]

    def _bodies(self) -> list[Candidate]:
        """Return what is made of a ready body, where one is named or installed for such data."""
        if name := self.base.get("body"):
            return candidates.with_body(name, self.base)
        name = candidates.installed_body(self.kind)
        own = {"model", "norm", "pool", "width", "hidden"} & self.given.keys()
        if name is None or own or self._given_source is not None or self._is_fixed:
            return []
        read = with_ready_data(self.given | {"body": name})
        if read.get("data") == self.given.get("data"):  # arrays, which nobody can read otherwise
            return []
        return candidates.with_body(name, self.base | {"data": read["data"]})

    def _plan(self, starts: Sequence[Candidate]) -> None:
        """Decide how many outer steps each pre-training takes, and say so."""
        plan, workers = self.record["plan"], self._workers(starts)
        if starts[0].name not in plan:
            per_step = seconds_per_step(with_threads(starts[0].config, workers), self._given_source)
            seconds = 60 * self.minutes * PRETRAINING_SHARE
            seconds /= rounds([each.share for each in starts], workers)
            for each in starts:
                plan[each.name] = steps_within(
                    seconds * each.share, per_step, int(MOST_PRETRAINING * each.share)
                )
            self._keep()
        most = plan[starts[0].name]
        beside = f", {workers} at a time" if workers > 1 else ""
        self._say(
            f"within {self.minutes:g} minutes: {len(starts)} pre-trainings of up to {most} steps"
            f"{beside}, meta-training from the best, then a choice of what adapts"
        )

    def _workers(self, trained: Sequence[Candidate]) -> int:
        in_files = self._given_source is None
        return workers_for(trained[0].config, len(trained), in_files=in_files)

    def _train(self, *trained: Candidate) -> None:
        """Train candidates to their end, from where they are."""
        workers, jobs = self._workers(trained), []
        for candidate in trained:
            run = Run(self.folder / candidate.name, source=self._given_source)
            steps = self.record["plan"][candidate.name]
            every = max(steps // VALIDATIONS, 1)
            config = replace(candidate.config, iterations=steps, validate_every=every)
            jobs.append(Job(run, with_threads(config, workers)))
            if run.result() is None:
                self._say(f"{candidate.what}: {steps} outer steps")
        train_all(jobs, workers)

    def _best_start(self, starts: Sequence[Candidate]) -> Candidate:
        """Return the pre-training to go on from, its features measured in the cheapest way."""
        found = [s for c in starts for s in self._measure(c, adapting.cheapest_ways(c.config))]
        names = {candidate.name: candidate for candidate in starts}
        return names[first_good(found).init]

    def _meta_training(self, start: Candidate) -> Candidate:
        """Return the meta-training from a pre-training, with the steps that fit into the time."""
        parts = [self.source.pools(split) for split in SPLITS]  # validation has as many ways
        most = min(max(len(pool.classes) for pool in pools) for pools in parts)
        ways = self.base["ways"]
        choices: dict[str, Any] = {}
        if self._is_fixed:
            moving = [s for s in self._measure(start) if s.adapts != adapting.NOTHING]
            choices = cheapest(moving).choices
        else:
            ways = max(ways, min(candidates.MOST_WAYS, most))
        path = self.folder / start.name
        candidate = candidates.meta_training(start, path, ways, choices)
        plan = self.record["plan"]
        if candidate.name not in plan:
            per_step = seconds_per_step(candidate.config, self._given_source)
            plan[candidate.name] = steps_within(60 * self.minutes * META_SHARE, per_step, MOST_META)
            self._keep()
        return candidate

    def _measure(
        self, candidate: Candidate, ways: Sequence[adapting.Way] | None = None
    ) -> list[Scored]:
        """Measure ways to adapt a candidate, those that are not in the record yet."""
        wanted = list(adapting.ways_of(candidate.config) if ways is None else ways)
        known = [Scored.of(entry) for entry in self.record["compared"]]
        mine = [each for each in known if each.init == candidate.name]
        missing = [way for way in wanted if not any(way.made(each.choices) for each in mine)]
        run = Run(self.folder / candidate.name, source=self._given_source)
        source = self._source_of(candidate)
        episodes = self.record["episodes"]
        total = len(missing) * len(self.shots) * episodes
        with tqdm(total=total, unit="task", disable=None if total else True) as progress:
            for way in missing:
                progress.set_description(f"{candidate.name}, {way.adapts}")
                measured = adapting.measure_way(
                    candidate.name,
                    way,
                    run,
                    source,
                    self.shots,
                    episodes,
                    self.base["ways"],
                    progress.update,
                )
                mine += measured
                self.record["compared"] += [each.record() for each in measured]
                self._keep()
        return [each for each in mine if any(way.made(each.choices) for way in wanted)]

    def _finish(self, candidate: Candidate, chosen: Scored) -> dict[str, Any]:
        """Make the run of the winner."""
        theirs = Run(self.folder / candidate.name, source=self._given_source)
        config = replace(
            theirs.config(),
            **chosen.choices,
            **{n: self.base[n] for n in ("ways", "queries")},
            test_episodes=self.given.get("test_episodes", TrainConfig.test_episodes),
            recipe="auto",
            minutes=self.minutes,
            threads=self.given.get("threads", TrainConfig.threads),
        )
        self.record |= {"chosen": chosen.record(), "what": candidate.what}
        header, rows = compared_rows(self.record)
        self.record["table"] = {"header": header, "rows": rows}
        self._keep()
        steps = sum(self.record["plan"].values())
        return write_winner(self.run, theirs, config, self._source_of(candidate), steps)

    def _source_of(self, candidate: Candidate) -> ClassSource:
        """Return the tasks of a candidate: a body may read the same files otherwise."""
        data = candidate.config.data
        if data not in self._sources:
            opened = open_run_tasks(candidate.config)
            assert isinstance(opened, ClassSource)  # noqa: S101  # as the same files are elsewhere
            self._sources[data] = opened
        return self._sources[data]

    @property
    def _is_fixed(self) -> bool:
        return bool(self.base["labels"] == "fixed")

    def _keep(self) -> None:
        self.run.write_recipe(self.record)
