"""What a training run is told: one flat record, the same in config.toml and on the command line."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tomli_w

from edgemeta.errors import InputError
from edgemeta.files import write_atomically
from edgemeta.meta.models import HEADS, MODELS, NORMS, POOLS, Head, Norm, Pool
from edgemeta.tasks.classes import Unit

ALGORITHMS = ("maml", "fomaml")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class TrainConfig:
    """One meta-training run.

    Attributes:
        tasks: a task source, as `edgemeta.tasks.open_tasks` spells it.
        root: where its data lie; "" for embedded sources.
        by: what is new at test time: "class" or "subject".
        algorithm: "maml" (second order) or "fomaml".
        model: "conv4" or "mlp".
        width: conv4: filters per block.
        pool: conv4: "max" or "stride".
        norm: conv4: "support" and "group" are inductive, "transductive" is for comparison.
        hidden: mlp: width of each hidden layer.
        head: "linear" for tasks of up to `ways` classes, "shared" for tasks of any number.
        ways: classes per task.
        shots: support samples per class (regression: in all).
        queries: query samples per class (regression: in all) in the outer loss.
        inner_steps: inner steps per task.
        inner_lr: inner learning rate, on the mean support loss.
        meta_lr: Adam's learning rate at the start; falls to zero along a half cosine.
        meta_batch: tasks per outer step.
        iterations: outer steps.
        validate_every: outer steps between validations; each also writes a checkpoint.
        validation_episodes: tasks per validation.
        test_episodes: tasks on which the best checkpoint is evaluated at the end.
        evaluation_queries: query samples per class (regression: in all) in validation and test.
        seed: of the weights and the episodes. Which classes are held out does not depend on it, so
            that an evaluation never meets a class of the training.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of one process; networks this small gain nothing from a second.
    """

    tasks: str
    root: str = ""
    by: Unit = "class"
    algorithm: str = "maml"
    model: str = "conv4"
    width: int = 64
    pool: Pool = "max"
    norm: Norm = "group"
    hidden: tuple[int, ...] = (40, 40)
    head: Head = "linear"
    ways: int = 5
    shots: int = 1
    queries: int = 5
    inner_steps: int = 1
    inner_lr: float = 0.4
    meta_lr: float = 1e-3
    meta_batch: int = 8
    iterations: int = 5000
    validate_every: int = 250
    validation_episodes: int = 100
    test_episodes: int = 600
    evaluation_queries: int = 15
    seed: int = 0
    device: str = "auto"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (
            ("algorithm", ALGORITHMS),
            ("model", MODELS),
            ("pool", POOLS),
            ("norm", NORMS),
            ("head", HEADS),
            ("device", DEVICES),
            ("by", ("class", "subject")),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"unknown {name}", got=repr(getattr(self, name)), expected=" or ".join(allowed)
                )
        if not self.hidden or min(self.hidden) < 1:
            raise InputError("hidden is no list of layer widths", got=self.hidden)
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("seed", "inner_steps") else 1
            if field.type == "int" and value < least:
                raise InputError(f"{field.name} is too small", got=value, expected=f">= {least}")
            if field.type == "float" and not 0 < value < float("inf"):
                raise InputError(f"{field.name} must be positive and finite", got=value)

    @property
    def inductive(self) -> bool:
        """Whether one query is predicted without knowing the others."""
        return self.norm != "transductive" or self.model == "mlp"

    def write(self, path: Path) -> None:
        """Write the record as TOML."""
        write_atomically(path, tomli_w.dumps(asdict(self)).encode())


def read_toml(path: Path) -> dict[str, Any]:
    """Read a config file, checked against the fields of `TrainConfig`.

    Returns:
        The options that the file sets.

    Raises:
        InputError: it cannot be read, is not TOML, or sets an unknown option or a wrong type.
    """
    try:
        record = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read {path}", got=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML", got=str(error)) from error
    return _checked(record, str(path))


def read_config(path: Path) -> TrainConfig:
    """Read a whole `config.toml` of a run.

    Raises:
        InputError: as `read_toml`, and where the task source is not named.
    """
    record = read_toml(path)
    if "tasks" not in record:
        raise InputError(f"{path} names no tasks")
    return TrainConfig(**record)


def _checked(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    kinds = {
        "str": str,
        "Pool": str,
        "Norm": str,
        "Head": str,
        "Unit": str,
        "int": int,
        "float": (int, float),
        "tuple[int, ...]": list,
    }
    types = {field.name: field.type for field in fields(TrainConfig)}
    checked: dict[str, Any] = {}
    for name, value in record.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1)
            raise InputError(
                f"{where} sets an unknown option",
                got=name,
                hint=f"did you mean {near[0]}?" if near else None,
            )
        kind = str(types[name])
        if not isinstance(value, kinds[kind]) or isinstance(value, bool):  # type: ignore[arg-type]
            raise InputError(f"{where}: {name} has the wrong type", got=repr(value), expected=kind)
        if kind == "float":
            value = float(value)
        elif kind.startswith("tuple"):
            if any(type(item) is not int for item in value):
                raise InputError(f"{where}: {name} is no list of integers", got=value)
            value = tuple(value)
        checked[name] = value
    return checked
