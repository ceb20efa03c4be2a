"""The metrics of a run for TensorBoard, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOGGED = ("loss", "validation", "meta_lr", "tasks_per_second")


class TensorBoard:
    """Writes scalars as TensorBoard reads them; does nothing where that is not installed.

    A line is written and closed at once, so that a training killed at any time loses none.

    Args:
        path: directory of the event files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._installed = find_spec("tensorboard") is not None

    def write(self, record: dict[str, Any]) -> None:
        """Write what one line of metrics.jsonl has."""
        if not self._installed:
            return
        from torch.utils.tensorboard import SummaryWriter  # takes a second

        step = record["iteration"]
        # What a killed training wrote beyond this step is hidden, as it will be written again.
        with SummaryWriter(str(self._path), purge_step=step) as writer:
            for name in LOGGED:
                writer.add_scalar(name, record[name], step)
