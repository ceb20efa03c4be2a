"""Adapting and predicting on a device, with stock onnxruntime.

    runner = Runner("bundle")
    learner = runner.adapt(support_x, support_y)
    learner.predict(query_x)

A runner never changes; a learner is a value: adapting further returns another one. Both may be
used by several threads at once, after a fork, and be pickled to a process on the same machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from edgemeta.bundle import Manifest
from edgemeta.bundle.state import StateFile, read_state
from edgemeta.device._model import Model
from edgemeta.device.events import Observer, emit
from edgemeta.device.guard import check_holdout, check_progress
from edgemeta.device.inputs import (
    check_lr_scale,
    check_steps,
    check_support,
    check_ways,
)
from edgemeta.device.learner import Learner

__all__ = ["Learner", "Runner"]


class Runner:
    """A loaded bundle.

    Args:
        bundle_path: the bundle's directory.
        threads: of onnxruntime, within one operator; None for one per core.
        providers: onnxruntime execution providers; None for the CPU.
        key: a PEM file with a public key: the bundle must be signed with the private key (`edgemeta
            sign`). None also takes unsigned bundles.
        observe: is called after each load, adaptation, freezing and prediction, with an
            `edgemeta.device.events.Event`. The logger "edgemeta" gets the same without being asked.

    Raises:
        BundleError: the bundle is missing, damaged, of an unknown version, or not signed by `key`.
        InputError: threads, providers or key cannot be used.

    Example:
        >>> import edgemeta
        >>> runner = edgemeta.Runner("bundle", threads=1)  # what `edgemeta export` wrote
        >>> runner.manifest.task, runner.manifest.input.dtype
        ('classification', 'uint8')
    """

    def __init__(
        self,
        bundle_path: str | os.PathLike[str],
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        observe: Observer | None = None,
    ) -> None:
        self._model = Model(Path(bundle_path), threads, providers, key, observe)

    @property
    def path(self) -> Path:
        """The bundle's directory."""
        return self._model.path

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self._model.manifest

    @property
    def fingerprint(self) -> str:
        """Sha256 of the manifest, which state files are bound to."""
        return self._model.fingerprint

    def __deepcopy__(self, memo: object) -> Self:
        """Return the runner itself: it never changes."""
        return self

    @property
    def init(self) -> Learner:
        """The learner before any adaptation.

        Where the bundle names its classes (`manifest.labels`) it predicts them as it is; else it
        has to be adapted first.
        """
        manifest, no_losses = self.manifest, np.empty(0, np.float32)
        ways = 1 if manifest.any_ways else manifest.ways
        return Learner(self._model, {}, no_losses, ways, labels=manifest.labels)

    def adapt(
        self,
        x: Any,
        y: Any,
        steps: int | None = None,
        lr_scale: float = 1.0,
        state: Learner | None = None,
        ways: int | None = None,
        holdout: tuple[Any, Any] | None = None,
        guard: bool = True,
    ) -> Learner:
        """Adapt to a support set.

        Args:
            x: (S, *input_shape) support samples, as the model was trained on them.
            y: (S,) labels 0, 1, ... below the ways, or (S, *target_shape) regression targets. To a
                shared head, a label beyond the classes of `state` is a new class. Where the bundle
                names its classes, label k is `manifest.labels[k]`.
            steps: inner steps; None for the bundle's own number; 0 returns the start unchanged.
            lr_scale: multiplies the inner learning rate.
            state: a learner to continue from; None starts from the init.
            ways: number of classes of the task, at most that of the head; others are never
                predicted. None takes the number of `state`, or that of the head. A shared head
                takes any number; None takes as many as `state` and the labels have.
            holdout: samples and labels (or targets) as x and y, not among them, on which the
                adapted learner must be no worse than the start: as many right labels, or no larger
                a loss. A start that does not know some of the classes has their labels wrong.
            guard: refuse an adaptation that diverged. False returns the result in any case, for
                measurements.

        Returns:
            A new learner; neither the runner nor `state` changes.

        Raises:
            InputError: the support set or a number cannot be used.
            AdaptationError: the adaptation diverged (`edgemeta.device.guard` says when), or made
                the holdout worse; it holds the losses and the learner from before.

        Example:
            >>> import edgemeta
            >>> import numpy as np
            >>> drawings = np.zeros((2, 28, 28), np.uint8)
            >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
            >>> learner = edgemeta.load("omniglot").adapt(drawings, [0, 1])
            >>> learner.ways
            2
            >>> bool(learner.losses[-1] < learner.losses[0])
            True
        """
        began = time.perf_counter()
        ways = self._ways(ways, state)
        support_x, support_y = check_support(x, y, self.manifest, ways or self.manifest.most_ways)
        steps = check_steps(self.manifest.inner_steps if steps is None else steps)
        start = {} if state is None else state._values_for(self._model)
        labels = self.manifest.labels if state is None else state.labels
        adapted = self._model.adapt(
            support_x, support_y, steps, check_lr_scale(lr_scale), start, ways
        )
        learner = Learner(self._model, *adapted, labels=labels)
        emit(self._model.observe, "adapt", self.path, began, len(support_x), learner.losses)
        before = self.init if state is None else state
        if guard and steps:
            check_progress(before, learner, support_y)
        if holdout is not None:
            known = learner.ways or self.manifest.most_ways
            check_holdout(
                before, learner, *check_support(*holdout, self.manifest, known, "holdout")
            )
        return learner

    def _ways(self, ways: int | None, state: Learner | None) -> int | None:
        """Return how many classes a task has; None for regression, or to leave it to the labels."""
        if self.manifest.any_ways:
            least = 2 if state is None or state.ways is None else max(state.ways, 2)
            return None if ways is None else check_ways(ways, self.manifest, least)
        if ways is None:
            return self.manifest.ways if state is None else state.ways
        return check_ways(ways, self.manifest)

    def load(self, path: str | os.PathLike[str]) -> Learner:
        """Read a learner that `Learner.save` wrote.

        Raises:
            BundleError: the file is missing, damaged, or belongs to another bundle.

        Example:
            >>> import edgemeta
            >>> runner = edgemeta.load("omniglot")
            >>> runner.init.save("init.safetensors")
            >>> runner.load("init.safetensors").losses.size
            0
        """
        return self._learner_of(read_state(Path(path), self.manifest, self.fingerprint))

    def _learner_of(self, found: StateFile) -> Learner:
        no_losses = np.empty(0, np.float32)
        labels = self.manifest.labels if found.labels is None else found.labels
        return Learner(self._model, found.tensors, no_losses, found.ways, labels=labels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _around, (self._model,)


def _around(model: Model) -> Runner:
    """Return a runner of a model that another process had."""
    runner = Runner.__new__(Runner)
    runner._model = model
    return runner
