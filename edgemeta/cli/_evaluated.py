"""What `edgemeta eval` evaluates, a run or a bundle, and on which tasks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgemeta.bundle import MANIFEST
from edgemeta.cli._reading import Given, choose_reading, note_division, note_reading
from edgemeta.data.recorded import Reading, trained_reading
from edgemeta.device.runner import Runner
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import BundleAdapter
from edgemeta.measure.unknown import Comparing
from edgemeta.tasks import EpisodeSize, TaskSource, open_tasks
from edgemeta.tasks.fixed_labels import with_labels_called

RUN_CONFIG = "config.toml"
WRONG = ("is neither a run nor a bundle", f"a directory with {RUN_CONFIG} or {MANIFEST}")


class Evaluated(NamedTuple):
    """A run or a bundle, and how it was trained.

    Attributes:
        path: its directory.
        runtime: "torch" or "onnxruntime".
        adapter: what adapts.
        shots: support samples per class in the training.
        tasks: what it was trained on.
        reading: how that was divided and read.
    """

    path: Path
    runtime: str
    adapter: Comparing
    shots: int
    tasks: str
    reading: Reading

    @classmethod
    def opened(cls, what: Path, threads: int | None) -> Evaluated:
        """Open the directory of a run or a bundle.

        Raises:
            InputError: it is neither.
            BundleError: the bundle is damaged.
        """
        if (what / MANIFEST).is_file():
            runner = Runner(what, threads=threads)
            told = runner.manifest.trained.config
            reading = trained_reading(runner.manifest)
            adapter = BundleAdapter(runner)
            return cls(what, "onnxruntime", adapter, told.shots or 1, told.tasks, reading)
        if not (what / RUN_CONFIG).is_file():
            raise InputError(f"{what} {WRONG[0]}", expected=WRONG[1])
        # torch is needed for a run alone: a device evaluates bundles without it.
        from edgemeta.meta.runs.adapter import run_adapter
        from edgemeta.meta.runs.run import Run

        config = Run(what).config()
        reading = Reading(config.by, config.split_seed, config.data)
        adapted = run_adapter(what, threads=threads)
        return cls(what, "torch", adapted, config.shots, config.tasks, reading)

    def open_tasks(
        self, tasks: str | None, root: Path | None, given: Given
    ) -> tuple[str, TaskSource, Reading]:
        """Return the name of the tasks to evaluate on, the tasks, and how they are read.

        Args:
            tasks: a name or a path; None for a run's own.
            root: where the data of a name lie.
            given: what the user says of dividing and reading them.

        Raises:
            InputError: they cannot be opened, or lack classes that labels of the training name.
        """
        own = tasks is None
        if tasks is None:
            tasks, root = self._own_tasks(root)
        chosen = choose_reading(tasks, root, given, self.reading)
        if not own:
            note_reading(chosen)
        by, seed, options = chosen.reading
        source = open_tasks(tasks, root, by=by, split_seed=seed, options=options)
        if self.adapter.labels:
            source = with_labels_called(source, self.adapter.labels)
        if Path(tasks).name == Path(self.tasks).name:
            note_division(chosen.reading, self.reading)
        return tasks, source, chosen.reading

    def _own_tasks(self, root: Path | None) -> tuple[str, Path | None]:
        """Return the name of a run's own tasks, and where their data lie."""
        if self.runtime != "torch":
            raise InputError(
                f"{self.path} is a bundle, which holds no data", hint="name the TASKS too"
            )
        from edgemeta.meta.runs.opening import check_named
        from edgemeta.meta.runs.run import Run

        config = Run(self.path).config()
        check_named(config)
        return config.tasks, Path(config.root) if root is None and config.root else root

    def on_features(
        self, source: TaskSource, size: EpisodeSize, episodes: int
    ) -> tuple[Comparing, TaskSource]:
        """Return what adapts and a source, without what is frozen in front where that pays.

        Args:
            source: of raw samples.
            size: of an episode.
            episodes: how many.
        """
        if self.runtime != "torch":
            return self.adapter, source
        from edgemeta.meta.runs.adapter import TorchAdapter

        assert isinstance(self.adapter, TorchAdapter)  # noqa: S101  # see open
        return self.adapter.on_features(source, size, episodes)

    def note(self, setting: dict[str, object], found: dict[str, object]) -> None:
        """Keep in a run what was found; a bundle does not change."""
        if self.runtime == "torch":
            from edgemeta.meta.runs.run import Run

            Run(self.path).note_evaluation(setting, found)
