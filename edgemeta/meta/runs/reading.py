"""How files are read for a ready body, be it trained or a teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgemeta.data.dataset import Dataset
from edgemeta.data.file_samples import FileSamples
from edgemeta.data.layouts import IMAGE_OPTIONS, SPECTRUM_OPTIONS, recognise
from edgemeta.data.options import AS_IT_IS, DataOptions
from edgemeta.errors import InputError
from edgemeta.meta.models.bodies import READY, reading_for
from edgemeta.meta.models.foreign import OBJECT
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.opening import NAMES


def with_ready_data(choices: dict[str, Any]) -> dict[str, Any]:
    """Return choices that read files as a ready body wants them, unless they say otherwise.

    Args:
        choices: of a training; with a `body`, `data` is completed by what the body needs and the
            layout of `tasks` knows.
    """
    body, tasks, root = choices.get("body", ""), choices.get("tasks"), choices.get("root")
    if body not in READY or tasks is None or tasks in NAMES or OBJECT.fullmatch(tasks):
        return choices
    data = choices.get("data", AS_IT_IS)
    layout = recognise(tasks, Path(root) if root else None, data)
    return choices | {"data": reading_for(body, data, layout.options if layout else ())}


def as_teacher_reads(config: TrainConfig, source: TaskSource) -> DatasetSource:
    """Return the samples of a training as its teacher, a body, reads them.

    A ready body reads the files again, with options of its own. Its recordings are at least as long
    as the student's. All else, such as an ONNX file, is shown what the student sees.

    Args:
        config: of the training.
        source: of the student's raw samples.

    Raises:
        InputError: the samples have no fixed place, or the files have changed in the meantime.
    """
    if not isinstance(source, DatasetSource):
        raise InputError(
            "a body teaches samples that are files or arrays, of classes",
            got=f"{source.name}, {source.kind}",
            hint="train without --teacher",
        )
    options = _teacher_options(config)
    if options == config.data:
        return source
    root = Path(config.root) if config.root else None
    found = open_tasks(
        config.tasks, root, by=config.by, split_seed=config.split_seed, options=options
    )
    if not isinstance(found, DatasetSource) or not _same_samples(found.dataset, source.dataset):
        raise InputError(
            f"the teacher {config.teacher} does not read the samples that the student sees",
            got=f"other files in {config.tasks}",
            hint="begin the training again, and leave the files as they are",
        )
    return found


def _teacher_options(config: TrainConfig) -> DataOptions:
    """Return how the files are read for the teacher; as for the student where it has no wishes."""
    data, teacher = config.data, config.teacher
    if teacher not in READY or OBJECT.fullmatch(config.tasks):
        return data
    layout = recognise(config.tasks, Path(config.root) if config.root else None, data)
    wanted = {n: v for n, v in READY[teacher].data.items() if layout and n in layout.options}
    if not wanted:
        return data
    if "seconds" in wanted:  # what the student hears, the teacher hears, too
        wanted["seconds"] = max(wanted["seconds"], data.seconds or 0.0)
    kept = data.given().keys() - {*IMAGE_OPTIONS, *SPECTRUM_OPTIONS}
    return replace(data.only(*kept), **wanted)


def _same_samples(one: Dataset, other: Dataset) -> bool:
    """Whether row k is the same sample in both, as far as classes, people and files tell."""
    for mine, its in ((one.y, other.y), (one.subject, other.subject)):
        if not np.array_equal(mine, its):  # type: ignore[arg-type]  # None equals None
            return False
    files = [d.samples.paths if isinstance(d.samples, FileSamples) else () for d in (one, other)]
    return one.class_names == other.class_names and files[0] == files[1]
