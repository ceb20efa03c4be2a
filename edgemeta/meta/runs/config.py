"""What a training run is told: one flat record, the same in config.toml and on the command line."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from edgemeta.errors import InputError
from edgemeta.meta.runs._checking import check_each, check_together
from edgemeta.meta.runs._choices import Choices
from edgemeta.meta.runs.algorithms import (
    ALGORITHMS,
    HEAD,
    PRESETS,
)
from edgemeta.util.dataclass_fields import as_fields
from edgemeta.util.files import write_atomically

# One step from a head of zeros behind a cosine neck is the nearest class mean.
WITH_BODY: dict[str, Any] = {
    "adapt": HEAD,
    "head": "shared",
    "neck": "cosine",
    "inner_steps": 1,
    "inner_lr": 1.0,
}


@dataclass(frozen=True)
class TrainConfig(Choices):
    """One meta-training run; its fields are those of `Choices`.

    Raises:
        InputError: a field is out of range, or two contradict each other.
    """

    def __post_init__(self) -> None:
        check_each(self)
        check_together(self)

    @classmethod
    def of(cls, **options: Any) -> TrainConfig:
        """Make a config from the choices of `algorithm`'s preset and options that replace them.

        With a `body`, the choices are `WITH_BODY` unless the preset or an option replaces them.

        Raises:
            InputError: an option is out of range, or no algorithm has that name.
        """
        algorithm = options.get("algorithm", "maml")
        if algorithm not in PRESETS:
            raise InputError(
                "unknown algorithm", got=repr(algorithm), expected=" or ".join(ALGORITHMS)
            )
        start = WITH_BODY if options.get("body") else {}
        labels = options.get("labels", "shuffled")
        if labels != "shuffled":
            start = start | {"ways": 0}
        if labels == "fixed":
            start = start | {"head": "linear"}
        return cls(**start | PRESETS[algorithm] | options)

    def write(self, path: Path) -> None:
        """Write the record as TOML."""
        write_atomically(path, tomli_w.dumps(self.record()).encode())

    def record(self) -> dict[str, Any]:
        """Return the record as plain values; options of `data` that are not set are left out."""
        return asdict(self) | {"data": self.data.given()}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a config file, checked against the fields of `TrainConfig`.

    Returns:
        The options that the file sets.

    Raises:
        InputError: it cannot be read, is not TOML, or sets an unknown option or a wrong type.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}", got=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML", got=str(error)) from error
    return as_fields(record, str(path), TrainConfig)


def read_config(path: Path) -> TrainConfig:
    """Read a whole `config.toml` of a run.

    Raises:
        InputError: as `read_toml`, and where the task source is not named.
    """
    record = read_toml(path)
    if "tasks" not in record:
        raise InputError(f"{path} names no tasks")
    return TrainConfig.of(**record)
