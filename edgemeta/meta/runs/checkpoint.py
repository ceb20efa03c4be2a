"""A moment of a run, as a file that holds tensors and plain values only."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.tasks.source import TaskKind

STATISTICS = "facts"  # the key in the files, from before the rest was called so


@dataclass(frozen=True)
class DataStatistics:
    """What a run has to know of its data to rebuild its model without them.

    Attributes:
        kind: "classification" or "regression".
        input: one raw sample.
        target_shape: of one regression target; () for classification.
        mean: subtracted from the input, see `edgemeta.meta.models.networks.Preprocess`.
        std: the input is divided by it.
        labels: what the labels 0, 1, ... are called, where they keep their meaning; () elsewhere.
    """

    kind: TaskKind
    input: TensorSpec
    target_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a run.

    Attributes:
        iteration: outer steps done.
        model: the init, by torch name.
        optimizer: the outer optimizer's state.
        statistics: of the data.
        validation: the metric of the last validation; None before the first.
        best: the best validation so far, and
        best_iteration: when that was.
        rates: learned inner rates by parameter; None where they are fixed.
        classifier: of supervised pre-training; None for other objectives.
        projection: of supervised pre-training with a teacher; None without one.
        plan: how batches are computed (`engine.Plan`), so that a resumed run goes on bit by bit.
        stale: validations since the best one.
        body_sha256: of the pre-trained body, whose frozen weights are not in `model`.
    """

    iteration: int
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    statistics: DataStatistics
    validation: float | None
    best: float | None
    best_iteration: int
    rates: dict[str, torch.Tensor] | None = None
    classifier: dict[str, torch.Tensor] | None = None
    projection: dict[str, torch.Tensor] | None = None
    plan: tuple[int, int, bool] | None = None
    stale: int = 0
    body_sha256: str = ""

    def to_bytes(self) -> bytes:
        """Serialise to tensors and plain values only, so that it loads with weights_only."""
        record = dict(vars(self))
        statistics = vars(record.pop("statistics"))
        record[STATISTICS] = statistics | {"input": vars(statistics["input"])}
        buffer = io.BytesIO()
        torch.save(record, buffer)
        return buffer.getvalue()

    @classmethod
    def from_file(cls, path: Path) -> Checkpoint:
        """Read a checkpoint; nothing in it is executed (`weights_only`).

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            record = torch.load(path, map_location="cpu", weights_only=True)
            found = record.pop(STATISTICS)
            found["input"] = TensorSpec(**found["input"])
            return cls(**record, statistics=DataStatistics(**found))
        except FileNotFoundError as error:
            raise InputError(
                f"{path} does not exist", hint="train first: `edgemeta train TASKS --out RUN`"
            ) from error
        except Exception as error:  # torch.load raises nearly anything on damaged files
            raise InputError(
                f"{path} is no checkpoint of edgemeta", got=f"{type(error).__name__}: {error}"
            ) from error
