"""A loaded bundle: what is known of it, and the sessions that run its two graphs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle.bake import bake
from edgemeta.bundle.loading import LoadedGraph, load_bundle
from edgemeta.device.events import Observer, emit
from edgemeta.device.inputs import check_threads
from edgemeta.device.sessions import Session, checked_providers, open_graph
from edgemeta.errors import BundleError

# An adaptation of so many steps, or floating point operations, takes some 10 ms, in which the start
# of a thread is lost.
LONG_STEPS = 100
LONG_FLOPS = 1e9


class Adapted(NamedTuple):
    """What an adaptation came to.

    Attributes:
        values: the state, by torch name.
        losses: (steps + 1,) float32, the support loss before each step and after the last.
        ways: how many classes the task has; None for regression.
    """

    values: dict[str, NDArray[Any]]
    losses: NDArray[np.float32]
    ways: int | None


class Model:
    """A loaded bundle, which never changes: what a runner and its learners share.

    Args:
        path: the bundle's directory.
        threads, providers, key, observe: see `edgemeta.Runner`.

    Attributes:
        path: the bundle's directory.
        manifest: what the bundle says of itself.
        fingerprint: sha256 of the manifest, which state files are bound to.
        observe: the caller's own observer.

    Raises:
        BundleError, InputError: see `edgemeta.Runner`.
    """

    def __init__(
        self,
        path: Path,
        threads: int | None,
        providers: Sequence[str] | None,
        key: str | os.PathLike[str] | None,
        observe: Observer | None,
    ) -> None:
        began = time.perf_counter()
        self.path = path
        loaded = load_bundle(path, key)
        self.manifest, self.fingerprint = loaded.manifest, loaded.fingerprint
        self.observe = observe
        self._threads = check_threads(threads)
        self._providers = checked_providers(providers)
        self._key = key
        # Kept for the sake of speed: an adaptation may take less than half a millisecond.
        self._names = [tensor.name for tensor in self.manifest.state]
        self._results = [*map(bundle.next_name, self._names), bundle.LOSSES]
        self._prediction = [bundle.prediction_name(self.manifest.task)]
        fixed_head = self.manifest.ways is not None and not self.manifest.any_ways
        state = {*self._names, *([bundle.WAYS] if fixed_head else [])}
        support = {bundle.SUPPORT_X, bundle.SUPPORT_Y, bundle.STEPS, bundle.LR_SCALE}
        ways = {bundle.WAYS} if self.manifest.any_ways else set()
        self._loaded = loaded  # the sessions use its tensors where they are
        self.adapting = self._session(loaded.adapt, support | state | ways, self._results)
        self.predicting = self._session(loaded.predict, {bundle.QUERY_X, *state}, self._prediction)
        emit(observe, "load", path, began)

    def adapt(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        steps: int,
        lr_scale: float,
        values: Mapping[str, NDArray[Any]],
        ways: int | None,
    ) -> Adapted:
        """Adapt to a checked support set.

        Args:
            x: (S, *input_shape) samples.
            y: (S,) labels, or (S, *target_shape) targets.
            steps: inner steps.
            lr_scale: multiplies the inner learning rate.
            values: the state to start from; empty for the init.
            ways: how many classes the task has; None for regression, or to leave it to the labels.
        """
        given = {
            bundle.SUPPORT_X: x,
            bundle.SUPPORT_Y: y,
            bundle.STEPS: np.array(steps, np.int64),
            bundle.LR_SCALE: np.array(lr_scale, np.float32),
            **ways_input(ways),
            **values,
        }
        long = steps > LONG_STEPS or steps * self.manifest.flops_per_step > LONG_FLOPS
        *found, losses = self.adapting.run(self._results, given, long)
        adapted = dict(zip(self._names, found, strict=True))
        if self.manifest.any_ways:
            ways = next(len(adapted[t.name]) for t in self.manifest.state if t.per_class)
        return Adapted(adapted, losses, ways)

    def predict(self, session: Session, given: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return what the predicting graph, or a frozen form of it, makes of checked inputs."""
        output: NDArray[np.float32]
        (output,) = session.run(self._prediction, given)
        return output

    def frozen(self, values: Mapping[str, NDArray[Any]]) -> Session:
        """Open the predicting graph with all of its inputs but the samples baked in."""
        graph = bake(self._loaded.predict, values)
        return self._session(graph, {bundle.QUERY_X}, self._prediction)

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
        """Return the model itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded_again, (
            self.fingerprint,
            self.path.absolute(),
            self._threads or None,
            self._providers,
            self._key,
            self.observe,
        )


def ways_input(ways: int | None) -> dict[str, NDArray[Any]]:
    """Return what tells a graph the number of classes; nothing for None."""
    return {} if ways is None else {bundle.WAYS: np.array(ways, np.int64)}


def _loaded_again(fingerprint: str, *settings: Any) -> Model:
    """Load the bundle that another process had loaded."""
    model = Model(*settings)
    if model.fingerprint != fingerprint:
        raise BundleError(f"{model.path} is another bundle now", hint="load it again")
    return model
