"""A training run on disk.

| file | content |
|---|---|
| config.toml | every option, as given |
| metrics.jsonl | one line per validation |
| checkpoints/best.pt, last.pt | the best by validation, and where to resume |
| curve.png | outer loss and validation over the outer steps |
| example.npz | one meta-training episode: the example that export compiles and records |
| tensorboard/ | the metrics once more, where TensorBoard is installed |
| recipe.json, recipe/ | what `--recipe auto` compared and chose, and the runs of the candidates |
| result.json | what the best checkpoint reached on the test part |
| evaluations.json | what `edgemeta eval` found, also on other tasks |
| baselines.json, baselines/pretrained | what `edgemeta baselines` found, and the run it trained |
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import nn

from edgemeta.bundle import TrainingRecord
from edgemeta.errors import EdgemetaError, InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES, Loss, shown_cross_entropy
from edgemeta.meta.inner.shared_head import rest_rows, shared_names
from edgemeta.meta.inner.updates import Rates
from edgemeta.meta.runs.building import body_sha256, check_body, load_weights, make_model
from edgemeta.meta.runs.checkpoint import Checkpoint, DataStatistics
from edgemeta.meta.runs.config import TrainConfig, read_config
from edgemeta.meta.runs.labelling import labelled
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.seeding import OwnRandomness
from edgemeta.tasks import Episode, TaskSource
from edgemeta.util.files import write_atomically


class Run:
    """The directory of one run.

    Args:
        path: the directory.
        model: what was trained, where that was an object of Python: any with its layers will do.
        source: what it was trained on, where that was an object of Python.

    Example:
        run = Run(Path("runs/mine"), model=MyNet())
        trained = run.best()  # trained.model has the weights that validated best
    """

    def __init__(
        self, path: Path, *, model: nn.Module | None = None, source: TaskSource | None = None
    ) -> None:
        self.path, self.model, self.source = path, model, source
        self.config_path = path / "config.toml"
        self.metrics_path = path / "metrics.jsonl"
        self.curve_path = path / "curve.png"
        self.result_path = path / "result.json"
        self.example_path = path / "example.npz"
        self.recipe_path = path / "recipe.json"
        self.recipe_folder = path / "recipe"
        self.evaluations_path = path / "evaluations.json"
        self.tensorboard_path = path / "tensorboard"
        self.baselines_path = path / "baselines.json"
        self.pretrained_path = path / "baselines" / "pretrained"

    def checkpoint_path(self, which: Literal["best", "last"]) -> Path:
        """Return where the best (by validation) or the last checkpoint lies."""
        return self.path / "checkpoints" / f"{which}.pt"

    def check_free(self) -> None:
        """Check that a new run may be written here.

        Raises:
            InputError: the directory holds a run already, or something else.
        """
        if self.config_path.exists() or self.recipe_path.exists():
            raise InputError(
                f"{self.path} holds a run already",
                hint="continue it with --resume, or name another --out",
            )
        if self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(f"{self.path} is not empty and no run", hint="name another --out")

    def create(self, config: TrainConfig, *, cooked: bool = False) -> None:
        """Make the directory and write the config.

        Args:
            config: of the run.
            cooked: whether the recipe has begun the directory, and writes its winner into it.

        Raises:
            InputError: see `check_free`.
            EdgemetaError: it cannot be written.
        """
        if not cooked:
            self.check_free()
        try:
            (self.path / "checkpoints").mkdir(parents=True, exist_ok=cooked)
        except OSError as error:
            raise EdgemetaError(f"cannot make {self.path}", got=error.strerror) from error
        config.write(self.config_path)

    def config(self) -> TrainConfig:
        """Read the config."""
        return read_config(self.config_path)

    def open_tasks(self, tasks: str | None = None, root: Path | None = None) -> TaskSource:
        """Return the run's `source`, or else what `open_run_tasks` opens, labelled as the run's.

        Raises:
            InputError: it cannot be opened, or cannot have these labels.
        """
        config = self.config()
        if self.source is None:
            return open_run_tasks(config, tasks, root)
        return labelled(self.source, config)

    def save(self, checkpoint: Checkpoint, which: Literal["best", "last"]) -> None:
        """Write a checkpoint, whole or not at all."""
        write_atomically(self.checkpoint_path(which), checkpoint.to_bytes())

    def metrics(self) -> list[dict[str, Any]]:
        """Return the whole lines of metrics.jsonl; one that a crash cut short does not count."""
        if not self.metrics_path.exists():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def log(self, record: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind_metrics(self, iteration: int) -> None:
        """Drop the lines after `iteration`, which a resumed run will write again."""
        kept = [line for line in self.metrics() if line["iteration"] <= iteration]
        content = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomically(self.metrics_path, content.encode())

    def write_result(self, result: dict[str, Any]) -> None:
        """Write what the best checkpoint reached on the test part."""
        _write_json(self.result_path, result)

    def result(self) -> dict[str, Any] | None:
        """Return what `write_result` wrote; None for a run that has not ended.

        Raises:
            InputError: the file is damaged.
        """
        hint = "`edgemeta train --resume` writes it anew"
        result: dict[str, Any] | None = _read_json(self.result_path, hint)
        return result

    def write_baselines(self, record: dict[str, Any]) -> None:
        """Write what `edgemeta.meta.compare.baselines.compare` found."""
        _write_json(self.baselines_path, record)

    def baselines(self) -> dict[str, Any] | None:
        """Return what `write_baselines` wrote; None where nobody has compared.

        Raises:
            InputError: the file is damaged.
        """
        hint = "remove it: `edgemeta baselines` writes it anew"
        record: dict[str, Any] | None = _read_json(self.baselines_path, hint)
        return record

    def write_recipe(self, record: dict[str, Any]) -> None:
        """Write what `edgemeta.meta.recipe` compared, and what it chose."""
        _write_json(self.recipe_path, record)

    def recipe(self) -> dict[str, Any] | None:
        """Return what `write_recipe` wrote; None for a run that was trained by hand.

        Raises:
            InputError: the file is damaged.
        """
        record: dict[str, Any] | None = _read_json(
            self.recipe_path, "train anew: name another --out"
        )
        return record

    def note_evaluation(self, setting: dict[str, Any], found: dict[str, Any]) -> None:
        """Keep what an evaluation found, in place of an earlier one with the same setting."""
        others = [entry for entry in self.evaluations() if entry["setting"] != setting]
        _write_json(self.evaluations_path, [*others, {"setting": setting, "found": found}])

    def evaluations(self) -> list[dict[str, Any]]:
        """Return what `note_evaluation` kept, the oldest first.

        Raises:
            InputError: the file is damaged.
        """
        kept: list[dict[str, Any]] | None = _read_json(self.evaluations_path, "remove it")
        return kept or []

    def save_example(self, episode: Episode) -> None:
        """Keep one meta-training episode, so that export needs no access to the data."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **episode._asdict())
        write_atomically(self.example_path, buffer.getvalue())

    def example(self) -> Episode:
        """Return what `save_example` kept.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            with np.load(self.example_path, allow_pickle=False) as arrays:
                return Episode(**arrays)
        except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.example_path} cannot be read", got=str(error)) from error

    def record(self) -> TrainingRecord:
        """Return the training record that goes into a bundle's manifest.

        Where the data lay on this machine is nobody's business on a device: names, not paths.

        Raises:
            InputError: the run's result is damaged.
        """
        config = self.config().record()
        for name in ("tasks", "start", "teacher", "body"):
            config[name] = Path(config[name]).name
        del config["root"]
        if (recipe := self.recipe()) is not None:
            config["compared"] = {name: recipe[name] for name in ("what", "notes", "table")}
        if config["body"]:
            best = Checkpoint.from_file(self.checkpoint_path("best"))
            config["body_sha256"] = best.body_sha256
        result = self.result()
        if result is not None:
            result["tasks"] = config["tasks"]
        try:
            return TrainingRecord.of({"config": config, "result": result}, str(self.path))
        except ValueError as error:
            raise InputError(
                "the run's record is damaged", got=error, hint=f"correct {self.result_path}"
            ) from error

    def best(self) -> Trained:
        """Rebuild the best checkpoint.

        Raises:
            InputError: there is no run, or it has no checkpoint yet.
        """
        config = self.config()
        checkpoint = Checkpoint.from_file(self.checkpoint_path("best"))
        with OwnRandomness(config.seed):  # the weights are replaced below
            model = make_model(config, checkpoint.statistics, self.model)
        check_body(config.body, body_sha256(model), checkpoint.body_sha256)
        load_weights(model, checkpoint.model, self.path)
        rest_rows(model, shared_names(model))  # runs of before have let them drift
        rates = config.inner_lr if checkpoint.rates is None else checkpoint.rates
        return Trained(config, checkpoint.statistics, model, rates)


class Trained(NamedTuple):
    """What a run has learned.

    Attributes:
        config: of the run.
        statistics: of its data.
        model: with the init.
        rates: the inner rates, fixed or learned.
    """

    config: TrainConfig
    statistics: DataStatistics
    model: nn.Module
    rates: Rates

    def loop(self) -> InnerLoop:
        """Return the inner loop that the run adapts with."""
        return make_loop(self.config, self.statistics, self.model)


def support_loss(statistics: DataStatistics) -> Loss:
    """Return the loss of a run's support sets; labels that keep their meaning may be missing."""
    return shown_cross_entropy if statistics.labels else LOSSES[statistics.kind]


def make_loop(config: TrainConfig, statistics: DataStatistics, model: nn.Module) -> InnerLoop:
    """Return the inner loop of a run around its model."""
    return InnerLoop(model, support_loss(statistics), config.adapt, config.inner_update())


def _write_json(path: Path, record: Any) -> None:
    content = json.dumps(record, indent=1)
    write_atomically(path, (content + "\n").encode())


def _read_json(path: Path, hint: str) -> Any:
    """Return a record; None where there is no file."""
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is damaged", got=error, hint=hint) from error
