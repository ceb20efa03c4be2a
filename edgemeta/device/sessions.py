"""onnxruntime sessions: the settings that suit a device, and what outlives a fork or a Ctrl-C."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from weakref import WeakSet

import onnxruntime
from numpy.typing import NDArray

from edgemeta.bundle.loading import LoadedGraph
from edgemeta.errors import BundleError, EdgemetaError, InputError
from edgemeta.util.strict_json import short

GROW_AS_REQUESTED = 1  # onnxruntime's number for kSameAsRequested
ERRORS_ONLY = 3  # onnxruntime's log severity; below it, it warns of every default-valued input
FATAL_ONLY = 4
GLANCE = 0.1  # seconds; on Windows a thread that waits without a limit does not see Ctrl-C


class Session:
    """An onnxruntime session, safe to share between threads.

    A forked child has none of the threads that its copy of a session would wait for, at the
    latest when the copy is destroyed; so there the session is opened anew when it is next used.

    Args:
        make: opens the onnxruntime session.
    """

    def __init__(self, make: Callable[[], onnxruntime.InferenceSession]) -> None:
        self._make = make
        self._session = make()
        _open.add(self)

    def run(
        self, outputs: Sequence[str], given: Mapping[str, NDArray[Any]], long: bool = False
    ) -> list[NDArray[Any]]:
        """Run the graph.

        Args:
            outputs: names of the wanted ones.
            given: inputs by name.
            long: it may take long: Ctrl-C is to end it, not to wait for its end.

        Raises:
            EdgemetaError: onnxruntime failed.
        """
        if self._session is None:
            self._session = self._make()
        try:
            if long and threading.current_thread() is threading.main_thread():
                return _run_until_interrupted(self._session, outputs, given)
            found: list[NDArray[Any]] = self._session.run(outputs, given)
        except Exception as error:  # onnxruntime's errors share no base of their own
            raise EdgemetaError("onnxruntime failed", got=error) from error
        return found

    def _leave_behind(self) -> None:
        """Forget the session of the parent process without destroying it."""
        if self._session is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))
        self._session = None


_open: WeakSet[Session] = WeakSet()


def _after_fork() -> None:
    for session in _open:
        session._leave_behind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _run_until_interrupted(
    session: onnxruntime.InferenceSession,
    outputs: Sequence[str],
    given: Mapping[str, NDArray[Any]],
) -> list[NDArray[Any]]:
    """Run in a thread of its own: Python looks at a signal only when C++ has come back."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = FATAL_ONLY  # or it would print that it was stopped
    found: list[list[NDArray[Any]] | Exception] = []
    done = threading.Event()  # not Thread.join, which takes a thread for ended when interrupted

    def work() -> None:
        try:
            found.append(session.run(outputs, given, options))
        except Exception as error:
            found.append(error)
        finally:
            done.set()

    threading.Thread(target=work, daemon=True).start()
    try:
        while not done.wait(GLANCE):
            pass
    except BaseException:
        options.terminate = True  # it stops behind the node that it is at
        done.wait()
        raise
    (result,) = found
    if isinstance(result, Exception):
        raise result
    return result


def open_graph(
    graph: LoadedGraph,
    threads: int,
    providers: Sequence[str],
    *,
    inputs: set[str],
    outputs: set[str],
) -> onnxruntime.InferenceSession:
    """Make a session of a graph and check that its names are those of the contract.

    Args:
        graph: what was read and checked.
        threads: of onnxruntime, within one operator.
        providers: what `checked_providers` returned.
        inputs: those that it must have, the ones with a default included.
        outputs: those that it must have.

    Raises:
        BundleError: it cannot be loaded, or has other names.
    """
    options = session_options(threads)
    try:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(v) for v in graph.external.values()]
        options.add_external_initializers(list(graph.external), values)
        session = onnxruntime.InferenceSession(
            graph.content,
            options,
            providers=list(providers),
            enable_fallback=0,  # else it would print to stdout and try once more
        )
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise BundleError(
            f"{graph.path} cannot be loaded",
            got=short(error),
            hint="does this onnxruntime know the bundle's opset? see `edgemeta inspect`",
        ) from error
    # Inputs that have a default are listed apart.
    given = {v.name for v in (*session.get_inputs(), *session.get_overridable_initializers())}
    made = {value.name for value in session.get_outputs()}
    if given != inputs or made != outputs:
        odd = sorted((given ^ inputs) | (made ^ outputs))
        raise BundleError(f"{graph.path} does not fit its manifest", got=", ".join(odd))
    return session


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the settings of a session; `benchmarks/session_settings.py` measures each of them."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Patterns plan memory for each new shape anew, and take twice as much for no gain in speed.
    options.enable_mem_pattern = False
    # A plan to reuse a buffer keeps it until then, for no gain in speed either: twice the memory.
    options.enable_mem_reuse = False
    _set_up_process()
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait for work without sleeping take the processor from whatever else the device
    # does: a quarter to a half more of it within a call, for no gain or a small one, and all of it
    # for a while after the call unless they are stopped then.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


@cache
def _set_up_process() -> None:
    """Have all sessions of the process take memory from one arena, which grows by what is needed.

    By default each session has an arena of its own, which doubles in size whenever it grows.
    """
    # For an application that had imported onnxruntime before edgemeta could say so.
    onnxruntime.disable_telemetry_events()
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    settings = {"max_mem": 0, "arena_extend_strategy": GROW_AS_REQUESTED}
    # The application may have registered an arena of its own: then that one serves.
    with suppress(RuntimeError):
        onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg(settings))


def checked_providers(providers: Sequence[str] | None) -> list[str]:
    """Return onnxruntime's execution providers; the CPU for None.

    Raises:
        InputError: one of them is not there.
    """
    if providers is None:
        return ["CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    if isinstance(providers, str) or not providers or set(providers) - set(available):
        raise InputError(
            "providers cannot be used", got=providers, expected="some of " + ", ".join(available)
        )
    return list(providers)
