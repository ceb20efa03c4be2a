"""What an estimator saves: a state file, with what else it has to know.

`Runner.load` reads the same file as a plain learner. Beside the state are: notes, as JSON in the
metadata; for classes, how clearly each was told apart; the spare row of a shared head; and the
support set, if it is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle.state import MOST_KEPT, is_label, read_state, write_state
from edgemeta.device.runner import Learner, Runner
from edgemeta.errors import BundleError
from edgemeta.estimators import _merging as merging
from edgemeta.estimators._labels import from_json, to_json
from edgemeta.util.strict_json import parse_object, short

LEAD = bundle.extra_name("lead")
SUPPORT_X = bundle.extra_name("support_x")
SUPPORT_Y = bundle.extra_name("support_y")


@dataclass(frozen=True)
class Notes:
    """What no tensor says.

    Attributes:
        labels: of the classes; None for regression.
        temperature: of the probabilities; None where they are not calibrated.
        samples: how many the state is of: of each class, or of a regression in all.
        flat: whether a regressor's targets came as (S,), without an axis for the one target.
    """

    labels: list[Hashable] | None
    temperature: float | None
    samples: list[int]
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
        counts = 1 if self.labels is None else len(self.labels)
        if (
            not isinstance(self.samples, list)
            or len(self.samples) != counts
            or any(type(n) is not int or not 0 <= n < 2**32 for n in self.samples)
            or not any(self.samples)
        ):
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
    plain = merging.without_spare(runner, saved.learner)
    extra = {bundle.extra_name(name): row for name, row in spare.items()}
    if saved.lead is not None:
        extra[LEAD] = saved.lead
    if saved.support is not None:
        extra[SUPPORT_X], extra[SUPPORT_Y] = saved.support
    labels = saved.notes.labels
    record = asdict(saved.notes) | {"labels": None if labels is None else to_json(labels)}
    notes = json.dumps(record, allow_nan=False)
    # What `edgemeta predict` shows; its labels are strings and numbers.
    names = record["labels"]
    shown = names if names and all(map(is_label, names)) else None
    write_state(Path(path), plain.state_dict(), runner.fingerprint, plain.ways, extra, notes, shown)


def read(path: str | os.PathLike[str], runner: Runner) -> Saved:
    """Read an estimator's file.

    Raises:
        BundleError: missing, damaged, of another bundle, or the state of a plain learner.
    """
    found = read_state(Path(path), runner.manifest, runner.fingerprint)
    learner = runner._learner_of(found)
    try:
        notes = _notes(found.notes)
        notes.check(learner)
        if (named := runner.manifest.labels) is not None and notes.labels != list(named):
            raise ValueError(f"other classes than the bundle's: {notes.labels!r}")
        spare = {
            t.name: _tensor(found.extra, bundle.extra_name(t.name), t.shape, t.dtype)
            for t in runner.manifest.state
            if t.per_class
        }
        classes = None if notes.labels is None else len(notes.labels)
        lead = None if classes is None else _tensor(found.extra, LEAD, (classes,), "float32")
        support = _support(found.extra, runner.manifest, classes)
    except (ValueError, TypeError) as error:
        raise BundleError(
            f"{path} is no file of an estimator",
            got=short(error),
            hint="write it with the estimator's save",
        ) from error
    return Saved(merging.with_spare(runner, learner, spare), notes, lead, support)


def _notes(text: str | None) -> Notes:
    if text is None:
        raise ValueError("the state of a plain learner, without labels")
    notes = Notes(**parse_object(text.encode()))
    return notes if notes.labels is None else replace(notes, labels=from_json(notes.labels))


def _support(
    extra: Mapping[str, NDArray[Any]], manifest: bundle.Manifest, classes: int | None
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return the support set, if it was kept."""
    if SUPPORT_X not in extra and SUPPORT_Y not in extra:
        return None
    x = _tensor(extra, SUPPORT_X, (None, *manifest.input.shape), manifest.input.dtype)
    y = _tensor(extra, SUPPORT_Y, (len(x), *manifest.target.shape), manifest.target.dtype)
    if classes is not None and not 0 <= y.min() <= y.max() < classes:
        raise ValueError(f"classes {y.min()}..{y.max()} of {classes}")
    return x, y


def _tensor(
    extra: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], dtype: str
) -> NDArray[Any]:
    """Return a tensor that is as it should be; None is any number of samples."""
    if name not in extra:
        raise ValueError(f"no {name}")
    tensor = extra[name]
    fits = tensor.ndim == len(shape) and all(
        1 <= n <= MOST_KEPT if size is None else n == size
        for n, size in zip(tensor.shape, shape, strict=True)
    )
    if not fits or tensor.dtype.name != dtype:
        raise ValueError(f"{name} {tensor.dtype} {tensor.shape}, expected {dtype} {shape}")
    if not np.isfinite(tensor).all():
        raise ValueError(f"{name} that is not finite")
    return tensor
