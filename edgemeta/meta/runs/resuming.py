"""Which options a run that is continued keeps: all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgemeta.errors import InputError
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run


def resumed_config(run: Run, given: dict[str, Any]) -> TrainConfig:
    """Return the config of a run that is to be continued.

    Args:
        run: the run.
        given: options that the caller set explicitly.

    Raises:
        InputError: there is no run, or an option differs from the run's.
    """
    if not run.config_path.exists():
        raise InputError(f"{run.path} holds no run to resume", hint="leave out --resume")
    config = run.config()
    settled = ("labels",) if given.get("labels") == "auto" else ()  # when the run began
    now = {name: value for name, value in given.items() if name not in settled}
    check_unchanged(now, {name: getattr(config, name) for name in now})
    return config


def check_unchanged(given: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Check that options of a user who resumes a run are those of the run.

    Args:
        given: options, by name.
        before: those of the run, and the defaults of those that were not given then.

    Raises:
        InputError: one differs.
    """
    for name, value in given.items():
        if value != before[name]:
            raise InputError(
                f"--{name.replace('_', '-')} differs from the run's",
                got=value,
                expected=before[name],
                hint="a resumed run keeps its options; start another with --out",
            )
