"""Opens what a run was trained on."""

from __future__ import annotations

from pathlib import Path

from edgemeta.errors import InputError
from edgemeta.meta.models.foreign import OBJECT
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.labelling import labelled
from edgemeta.tasks import TaskSource, open_tasks


def open_run_tasks(
    config: TrainConfig, tasks: str | None = None, root: Path | None = None
) -> TaskSource:
    """Open what a run was trained on.

    Args:
        config: of the run.
        tasks: where the data lie now, if they have moved; None for where they were.
        root: likewise.

    Raises:
        InputError: they cannot be opened.
    """
    if tasks is None:
        check_named(config)
    if root is None and tasks is None and config.root:
        root = Path(config.root)
    opened = open_tasks(
        tasks or config.tasks,
        root,
        by=config.by,
        split_seed=config.split_seed,
        options=config.data,
    )
    return labelled(opened, config)


def check_named(config: TrainConfig) -> None:
    """Check that what a run was trained on has a name or a path.

    Raises:
        InputError: it was an object in Python.
    """
    if OBJECT.fullmatch(config.tasks):
        raise InputError(
            "the tasks of this run were an object in Python",
            got=config.tasks,
            hint="name a file or folder with the data (eval RUN TASKS; report, baselines: --tasks "
            "TASKS), or in Python pass Run(path, source=...)",
        )
