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
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle.bake import bake
from edgemeta.bundle.loading import LoadedGraph, load_bundle
from edgemeta.bundle.state import StateFile, read_state
from edgemeta.device.events import Observer, tell
from edgemeta.device.guard import check_holdout, check_progress
from edgemeta.device.inputs import (
    check_lr_scale,
    check_steps,
    check_support,
    check_threads,
    check_ways,
)
from edgemeta.device.learner import Learner, ways_input
from edgemeta.device.sessions import Session, checked_providers, open_graph
from edgemeta.errors import BundleError

__all__ = ["Learner", "Runner"]

# An adaptation of so many steps, or floating point operations, takes some 10 ms, in which the start
# of a thread is lost.
LONG_STEPS = 100
LONG_FLOPS = 1e9


class Runner:
    """A loaded bundle.

    Args:
        bundle_path: the bundle's directory.
        threads: of onnxruntime, within one operator; None for one per core.
        providers: onnxruntime execution providers; None for the CPU.
        key: a public key, a PEM file: the bundle must be signed with its private key (`edgemeta
            sign`). None takes unsigned bundles too.
        observe: is called after each load, adaptation, freezing and prediction, with an
            `edgemeta.events.Event`. The logger "edgemeta" gets the same without being asked.

    Attributes:
        path: the bundle's directory.
        manifest: what the bundle says of itself.
        fingerprint: sha256 of the manifest, which state files are bound to.

    Raises:
        BundleError: the bundle is missing, damaged, of an unknown version, or not signed by `key`.
        InputError: threads, providers or key cannot be used.
    """

    def __init__(
        self,
        bundle_path: str | os.PathLike[str],
        threads: int | None = None,
        providers: Sequence[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        observe: Observer | None = None,
    ) -> None:
        began = time.perf_counter()
        self.path = Path(bundle_path)
        loaded = load_bundle(self.path, key)
        self.manifest, self.fingerprint = loaded.manifest, loaded.fingerprint
        self._threads = check_threads(threads)
        self._providers = checked_providers(providers)
        self._key, self._observe = key, observe
        # Kept for the sake of speed: an adaptation may take less than half a millisecond.
        self._names = [tensor.name for tensor in self.manifest.state]
        self._results = [*map(bundle.next_name, self._names), bundle.LOSSES]
        self._prediction = [bundle.prediction_name(self.manifest.task)]
        fixed_head = self.manifest.ways is not None and not self.manifest.any_ways
        state = {*self._names, *([bundle.WAYS] if fixed_head else [])}
        support = {bundle.SUPPORT_X, bundle.SUPPORT_Y, bundle.STEPS, bundle.LR_SCALE}
        ways = {bundle.WAYS} if self.manifest.any_ways else set()
        self._loaded = loaded  # the sessions use its tensors where they are
        self._adapt = self._session(loaded.adapt, support | state | ways, self._results)
        self._predict = self._session(loaded.predict, {bundle.QUERY_X, *state}, self._prediction)
        tell(observe, "load", self.path, began)

    def _session(self, graph: LoadedGraph, inputs: set[str], outputs: Sequence[str]) -> Session:
        return Session(
            partial(
                open_graph,
                graph,
                self._threads,
                self._providers,
                inputs=inputs,
                outputs=set(outputs),
            )
        )

    def __deepcopy__(self, memo: object) -> Self:
        """Return the runner itself: it never changes."""
        return self

    @property
    def init(self) -> Learner:
        """The learner before any adaptation."""
        ways = 1 if self.manifest.any_ways else self.manifest.ways
        return Learner(self, {}, np.empty(0, np.float32), ways)

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
                shared head, a label beyond the classes of `state` is a new class.
            steps: inner steps; None for the bundle's own number; 0 returns the start unchanged.
            lr_scale: multiplies the inner learning rate.
            state: a learner to continue from; None starts from the init.
            ways: how many classes the task has, at most as many as the head; the others are out of
                reach then. None takes those of `state`, or all of the head's. A shared head takes
                any number, and None as many as `state` and the labels have.
            holdout: samples and labels (or targets) as x and y, not among them, on which the
                adapted learner must be no worse than the start: as many right labels, or no larger
                a loss. A start that does not know some of the classes has their labels wrong.
            guard: refuse an adaptation that diverged. False returns whatever came out, for those
                who measure that.

        Returns:
            A new learner; neither the runner nor `state` changes.

        Raises:
            InputError: the support set or a number cannot be used.
            AdaptationError: the adaptation diverged (`edgemeta.guard` says when), or made the
                holdout worse; it holds the losses and the learner from before.
        """
        began = time.perf_counter()
        ways = self._ways(ways, state)
        support_x, support_y = check_support(x, y, self.manifest, ways or self.manifest.most_ways)
        steps = check_steps(self.manifest.inner_steps if steps is None else steps)
        learner = self._adapted(support_x, support_y, steps, check_lr_scale(lr_scale), state, ways)
        tell(self._observe, "adapt", self.path, began, len(support_x), learner.losses)
        before = self.init if state is None else state
        if guard and steps:
            check_progress(before, learner, support_y)
        if holdout is not None:
            known = learner.ways or self.manifest.most_ways
            check_holdout(
                before, learner, *check_support(*holdout, self.manifest, known, "holdout")
            )
        return learner

    def _adapted(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        steps: int,
        lr_scale: float,
        state: Learner | None,
        ways: int | None,
    ) -> Learner:
        """Adapt to a checked support set."""
        given = {
            bundle.SUPPORT_X: x,
            bundle.SUPPORT_Y: y,
            bundle.STEPS: np.array(steps, np.int64),
            bundle.LR_SCALE: np.array(lr_scale, np.float32),
            **ways_input(ways),
        }
        if state is not None:
            given |= state._values_for(self)
        long = steps > LONG_STEPS or steps * self.manifest.flops_per_step > LONG_FLOPS
        *values, losses = self._adapt.run(self._results, given, long)
        adapted = dict(zip(self._names, values, strict=True))
        if self.manifest.any_ways:
            ways = next(len(adapted[t.name]) for t in self.manifest.state if t.per_class)
        labels = None if state is None else state.labels
        return Learner(self, adapted, losses, ways, labels=labels)

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
        """
        return self._learner_of(read_state(Path(path), self.manifest, self.fingerprint))

    def _learner_of(self, found: StateFile) -> Learner:
        no_losses = np.empty(0, np.float32)
        return Learner(self, found.tensors, no_losses, found.ways, labels=found.labels)

    def _frozen(self, values: Mapping[str, NDArray[Any]]) -> Session:
        """Open the predicting graph with all of its inputs but the samples baked in."""
        graph = bake(self._loaded.predict, values)
        return self._session(graph, {bundle.QUERY_X}, self._prediction)

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded_again, (
            self.fingerprint,
            self.path.absolute(),
            self._threads or None,
            self._providers,
            self._key,
            self._observe,
        )


def _loaded_again(fingerprint: str, *settings: Any) -> Runner:
    """Load the bundle that another process had loaded."""
    runner = Runner(*settings)
    if runner.fingerprint != fingerprint:
        raise BundleError(f"{runner.path} is another bundle now", hint="load it again")
    return runner
