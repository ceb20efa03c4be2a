"""Adapting and predicting on a device, with stock onnxruntime.

    runner = Runner("bundle")
    learner = runner.adapt(support_x, support_y)
    learner.predict(query_x)

A runner never changes; a learner is a value: adapting further returns another one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.errors import BundleError, EdgemetaError, InputError
from edgemeta.inputs import check_lr_scale, check_samples, check_steps, check_support, check_ways
from edgemeta.loading import LoadedGraph, load_bundle
from edgemeta.state import read_state, write_state
from edgemeta.strict import short

GROW_AS_REQUESTED = 1  # onnxruntime's number for kSameAsRequested
ERRORS_ONLY = 3  # onnxruntime's log severity; below it, it warns of every default-valued input


class Runner:
    """A loaded bundle.

    Args:
        bundle_path: the bundle's directory.
        threads: of onnxruntime, within one operator; None for one per core.
        providers: onnxruntime execution providers; None for the CPU.
        key: a public key, a PEM file: the bundle must be signed with its private key (`edgemeta
            sign`). None takes unsigned bundles too.

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
    ) -> None:
        self.path = Path(bundle_path)
        loaded = load_bundle(self.path, key)
        self.manifest, self.fingerprint = loaded.manifest, loaded.fingerprint
        providers = _checked_providers(providers)
        # Kept for the sake of speed: an adaptation may take less than half a millisecond.
        self._names = [tensor.name for tensor in self.manifest.state]
        self._results = [*map(bundle.next_name, self._names), bundle.LOSSES]
        state = set(self._names)
        if self.manifest.ways is not None and not self.manifest.any_ways:
            state.add(bundle.WAYS)
        self._loaded = loaded  # the sessions use its tensors where they are
        self._adapt = _session(
            loaded.adapt,
            _session_options(threads),
            providers,
            inputs={
                bundle.SUPPORT_X,
                bundle.SUPPORT_Y,
                bundle.STEPS,
                bundle.LR_SCALE,
                *state,
                *([bundle.WAYS] if self.manifest.any_ways else []),
            },
            outputs=set(self._results),
        )
        self._predict = _session(
            loaded.predict,
            _session_options(threads),
            providers,
            inputs={bundle.QUERY_X, *state},
            outputs={bundle.prediction_name(self.manifest.task)},
        )

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

        Returns:
            A new learner; neither the runner nor `state` changes.

        Raises:
            InputError: the support set or a number cannot be used.
        """
        ways = self._ways(ways, state)
        support_x, support_y = check_support(x, y, self.manifest, ways or self.manifest.most_ways)
        steps = check_steps(self.manifest.inner_steps if steps is None else steps)
        given = {
            bundle.SUPPORT_X: support_x,
            bundle.SUPPORT_Y: support_y,
            bundle.STEPS: np.array(steps, np.int64),
            bundle.LR_SCALE: np.array(check_lr_scale(lr_scale), np.float32),
            **_ways_input(ways),
        }
        if state is not None:
            given |= state._values_for(self)
        *values, losses = _run(self._adapt, given, self._results)
        adapted = dict(zip(self._names, values, strict=True))
        if self.manifest.any_ways:
            ways = next(len(adapted[t.name]) for t in self.manifest.state if t.per_class)
        return Learner(self, adapted, losses, ways)

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
        values, ways = read_state(Path(path), self.manifest, self.fingerprint)
        return Learner(self, values, np.empty(0, np.float32), ways)


class Learner:
    """An adapted state of a bundle; made by `Runner.adapt`, `Runner.load` or `Runner.init`.

    Attributes:
        losses: (steps + 1,) float32, the support loss before each step and after the last; empty
            where the learner was loaded.
        ways: how many classes the task has; None for regression. The init of a shared head has one.
    """

    def __init__(
        self,
        runner: Runner,
        values: Mapping[str, NDArray[Any]],
        losses: NDArray[np.float32],
        ways: int | None,
    ) -> None:
        self.ways = ways
        self._runner = runner
        self._values = dict(values)  # empty: the init, which the graphs hold themselves
        self.losses = losses

    def predict(self, x: Any) -> NDArray[Any]:
        """Predict.

        Args:
            x: (Q, *input_shape) samples.

        Returns:
            (Q,) int64 labels, or (Q, *target_shape) float32 outputs for regression.

        Raises:
            InputError: the samples cannot be used.
        """
        output = self.predict_logits(x)
        return output.argmax(1) if self._runner.manifest.task == "classification" else output

    def predict_logits(self, x: Any) -> NDArray[np.float32]:
        """Return (Q, ways) float32 logits, or the outputs (Q, *target_shape) for regression.

        Raises:
            InputError: the samples cannot be used.
        """
        manifest = self._runner.manifest
        samples = check_samples(bundle.QUERY_X, x, manifest.input)
        given = {bundle.QUERY_X: samples, **self._values}
        if not manifest.any_ways:
            given |= _ways_input(self.ways)
        name = bundle.prediction_name(manifest.task)
        (output,) = _run(self._runner._predict, given, [name])
        return output if self.ways is None else output[:, : self.ways]

    def predict_proba(self, x: Any) -> NDArray[np.float32]:
        """Return (Q, ways) float32 probabilities: the softmax of the logits, not calibrated.

        Raises:
            InputError: the samples cannot be used, or the task is regression.
        """
        if self._runner.manifest.task != "classification":
            raise InputError("predict_proba is for classification", hint="use predict")
        logits = self.predict_logits(x)
        exp = np.exp(logits - logits.max(1, keepdims=True))
        probabilities: NDArray[np.float32] = exp / exp.sum(1, keepdims=True)
        return probabilities

    def state_dict(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every tensor of the state, by torch name."""
        values = self._values or self._runner.adapt(*self._any_support(), steps=0)._values
        return {name: value.copy() for name, value in values.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a `.safetensors` file, whole or not at all.

        Raises:
            EdgemetaError: the file cannot be written.
        """
        write_state(Path(path), self.state_dict(), self._runner.fingerprint, self.ways)

    def _values_for(self, runner: Runner) -> dict[str, NDArray[Any]]:
        if runner.fingerprint != self._runner.fingerprint:
            raise InputError(
                "state is a learner of another bundle",
                got=self._runner.path,
                expected=runner.path,
                hint="adapt this bundle to the support set again",
            )
        return self._values

    def _any_support(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return one sample: zero steps hand back the init, whatever the support set."""
        manifest = self._runner.manifest
        x = np.zeros((1, *manifest.input.shape), manifest.input.dtype)
        return x, np.zeros((1, *manifest.target.shape), manifest.target.dtype)


def _ways_input(ways: int | None) -> dict[str, NDArray[Any]]:
    return {} if ways is None else {bundle.WAYS: np.array(ways, np.int64)}


def _session_options(threads: int | None) -> onnxruntime.SessionOptions:
    if threads is not None and (type(threads) is not int or threads < 1):
        raise InputError("threads must be a positive integer", got=repr(threads))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # Patterns plan memory for each new shape anew, and take twice as much for no gain in speed.
    options.enable_mem_pattern = False
    # A plan to reuse a buffer keeps it until then, for no gain in speed either: twice the memory.
    options.enable_mem_reuse = False
    _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that spin between two nodes save a third of the time; between two calls they would
    # take the processor from whatever else the device does.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


@cache
def _share_arena() -> None:
    """Have all sessions of the process take memory from one arena, which grows by what is needed.

    By default each session has an arena of its own, which doubles in size whenever it grows.
    """
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    settings = {"max_mem": 0, "arena_extend_strategy": GROW_AS_REQUESTED}
    # The application may have registered an arena of its own: then that one serves.
    with suppress(RuntimeError):
        onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg(settings))


def _checked_providers(providers: Sequence[str] | None) -> list[str]:
    if providers is None:
        return ["CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    if isinstance(providers, str) or not providers or set(providers) - set(available):
        raise InputError(
            "providers cannot be used", got=providers, expected="some of " + ", ".join(available)
        )
    return list(providers)


def _session(
    graph: LoadedGraph,
    options: onnxruntime.SessionOptions,
    providers: list[str],
    *,
    inputs: set[str],
    outputs: set[str],
) -> onnxruntime.InferenceSession:
    """Make a session of a graph and check that its names are those of the contract."""
    path = graph.path
    try:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(v) for v in graph.external.values()]
        options.add_external_initializers(list(graph.external), values)
        session = onnxruntime.InferenceSession(
            graph.content,
            options,
            providers=providers,
            enable_fallback=0,  # else it would print to stdout and try once more
        )
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise BundleError(
            f"{path} cannot be loaded",
            got=short(error),
            hint="does this onnxruntime know the bundle's opset? see `edgemeta inspect`",
        ) from error
    # Inputs that have a default are listed apart.
    given = {v.name for v in (*session.get_inputs(), *session.get_overridable_initializers())}
    made = {value.name for value in session.get_outputs()}
    if given != inputs or made != outputs:
        odd = sorted((given ^ inputs) | (made ^ outputs))
        raise BundleError(f"{path} does not fit its manifest", got=", ".join(odd))
    return session


def _run(
    session: onnxruntime.InferenceSession,
    given: Mapping[str, NDArray[Any]],
    outputs: Sequence[str],
) -> list[NDArray[Any]]:
    try:
        found: list[NDArray[Any]] = session.run(outputs, given)
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise EdgemetaError("onnxruntime failed", got=error) from error
    return found
