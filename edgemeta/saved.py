"""What an estimator saves: a state file, with what else it has to know.

`Runner.load` reads the same file as a plain learner. Beside the state are: notes, as JSON in the
metadata; for classes, how clearly each was told apart; the spare row of a shared head; and the
support set, if it is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from edgemeta import bundle, merging
from edgemeta.errors import BundleError
from edgemeta.labels import from_json, to_json
from edgemeta.runner import Learner, Runner
from edgemeta.state import write_state

LEAD = bundle.extra_name("lead")
SUPPORT_X = bundle.extra_name("support_x")
SUPPORT_Y = bundle.extra_name("support_y")
MOST_KEPT = 65_536  # samples: far beyond few-shot use


@dataclass(frozen=True)
class Notes:
    """What no tensor says.

    Attributes:
        labels: of the classes; None for regression.
        temperature: of the probabilities; None where they are not calibrated.
        samples: how many the state is an average over.
        flat: whether a regressor's targets came as (S,), without an axis for the one target.
    """

    labels: list[Hashable] | None
    temperature: float | None
    samples: int
    flat: bool

    def check(self, learner: Learner) -> None:
        """Raise ValueError where these are not the notes of an estimator with this learner."""
        if (self.labels is None) != (learner.ways is None):
            raise ValueError(f"labels {self.labels!r}")
        if self.labels is not None and not 1 <= len(self.labels) <= (learner.ways or 0):
            raise ValueError(f"{len(self.labels)} labels for {learner.ways} classes")
        if self.temperature is not None and not (
            isinstance(self.temperature, float) and 0 < self.temperature < np.inf
        ):
            raise ValueError(f"temperature {self.temperature!r}")
        if type(self.samples) is not int or not 1 <= self.samples < 2**53:
            raise ValueError(f"samples {self.samples!r}")
        if type(self.flat) is not bool:
            raise ValueError(f"flat {self.flat!r}")


@dataclass(frozen=True)
class Saved:
    """An estimator's file.

    Attributes:
        learner: with the spare class, where the head is shared.
        notes: what no tensor says.
        lead: (C,) float32, what `familiarity.own_lead` returned; None for regression.
        support: the kept samples (S, *input_shape), and their (S,) numbers of classes or
            (S, *target_shape) targets; None if they were not kept.
    """

    learner: Learner
    notes: Notes
    lead: NDArray[np.float32] | None
    support: tuple[NDArray[Any], NDArray[Any]] | None


def write(path: str | os.PathLike[str], runner: Runner, saved: Saved) -> None:
    """Write an estimator's file, whole or not at all.

    Raises:
        InputError: a label has no equal in JSON.
        EdgemetaError: the file cannot be written.
    """
    spare = merging.spare_rows(runner, saved.learner)
    plain = merging.without(runner, saved.learner, -1) if spare else saved.learner
    extra = {bundle.extra_name(name): row for name, row in spare.items()}
    if saved.lead is not None:
        extra[LEAD] = saved.lead
    if saved.support is not None:
        extra[SUPPORT_X], extra[SUPPORT_Y] = saved.support
    labels = saved.notes.labels
    record = asdict(saved.notes) | {"labels": None if labels is None else to_json(labels)}
    notes = json.dumps(record, allow_nan=False)
    write_state(Path(path), plain.state_dict(), runner.fingerprint, plain.ways, extra, notes)


def read(path: str | os.PathLike[str], runner: Runner) -> Saved:
    """Read an estimator's file.

    Raises:
        BundleError: missing, damaged, of another bundle, or the state of a plain learner.
    """
    learner = runner.load(path)
    try:
        with safe_open(path, "numpy") as file:
            notes = _notes((file.metadata() or {}).get(bundle.STATE_NOTES_KEY))
            notes.check(learner)
            spare = {
                t.name: _tensor(file, bundle.extra_name(t.name), t.shape, t.dtype)
                for t in runner.manifest.state
                if t.per_class
            }
            classes = None if notes.labels is None else len(notes.labels)
            lead = None if classes is None else _tensor(file, LEAD, (classes,), "float32")
            support = _support(file, runner.manifest, classes)
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise BundleError(
            f"{path} is no file of an estimator",
            got=error,
            hint="write it with the estimator's save",
        ) from error
    return Saved(merging.with_spare(runner, learner, spare), notes, lead, support)


def _notes(text: str | None) -> Notes:
    if text is None:
        raise ValueError("the state of a plain learner, without labels")
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("notes that are no JSON object")
    notes = Notes(**record)
    return notes if notes.labels is None else replace(notes, labels=from_json(notes.labels))


def _support(
    file: Any, manifest: bundle.Manifest, classes: int | None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Read the support set, if it was kept."""
    if SUPPORT_X not in file.keys() and SUPPORT_Y not in file.keys():  # noqa: SIM118  # no dict
        return None
    x = _tensor(file, SUPPORT_X, (None, *manifest.input.shape), manifest.input.dtype)
    y = _tensor(file, SUPPORT_Y, (len(x), *manifest.target.shape), manifest.target.dtype)
    if classes is not None and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(f"classes {y.min()}..{y.max()} of {classes}")
    return x, y


def _tensor(file: Any, name: str, shape: tuple[int | None, ...], dtype: str) -> NDArray[Any]:
    """Read a tensor once its header is found right; None is any number of samples."""
    part = file.get_slice(name)
    found = tuple(part.get_shape())
    fits = len(found) == len(shape) and all(
        1 <= n <= MOST_KEPT if size is None else n == size
        for n, size in zip(found, shape, strict=True)
    )
    if not fits or part.get_dtype() != _code(dtype):
        raise ValueError(f"{name} {part.get_dtype()} {found}, expected {dtype} {shape}")
    array: NDArray[Any] = file.get_tensor(name)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} that is not finite")
    return array


def _code(dtype: str) -> str:
    """Return safetensors' name of a type of numpy's: "F32" for "float32"."""
    found = np.dtype(dtype)
    return "BOOL" if found.kind == "b" else f"{found.kind.upper()}{8 * found.itemsize}"
