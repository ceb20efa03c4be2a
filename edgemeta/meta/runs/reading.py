"""How files are read for a ready body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgemeta.data.layouts import recognise
from edgemeta.meta.models.bodies import READY, reading_for
from edgemeta.meta.models.foreign import OBJECT
from edgemeta.meta.runs.config import AS_IT_IS
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
