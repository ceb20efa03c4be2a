"""Talking to an adapter: one JSON object per line, each way, and never waiting for ever."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, Self

PATIENCE = 120.0  # seconds; a browser takes some to start, no episode takes ten
LONGEST_LINE = 1 << 20  # bytes; an answer has a few hundred
GLANCE = 0.02  # seconds
SHOWN = 200  # characters of what an adapter said


class AdapterError(Exception):
    """An adapter died, hung, said nonsense, or reported an error; one line."""


class Adapter:
    """A running adapter.

    Args:
        command: that starts it.
        cwd: where.
        patience: seconds to wait for an answer.

    Raises:
        AdapterError: it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], cwd: str | os.PathLike[str], patience: float = PATIENCE
    ) -> None:
        self._patience = patience
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # see `close`
        try:
            self._process = subprocess.Popen(
                list(command),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                start_new_session=True,  # so that a browser that it started ends with it
            )
        except OSError as error:
            self._complaints.close()
            raise AdapterError(f"cannot start {command[0]}: {error.strerror}") from error
        self._lines: queue.Queue[bytes] = queue.Queue()
        # A thread, since a pipe cannot be read with a time limit on every system.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def _read(self) -> None:
        output: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        with suppress(ValueError):  # closed meanwhile
            while line := output.readline(LONGEST_LINE):
                self._lines.put(line)
        self._lines.put(b"")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            AdapterError: there was none in time, it was no JSON object, or it was an error.
        """
        requests: IO[bytes] = self._process.stdin  # type: ignore[assignment]
        try:
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
            line = self._lines.get(timeout=self._patience)
        except queue.Empty:
            raise AdapterError(f"no answer within {self._patience:g} s") from None
        except OSError:
            line = b""
        if not line:
            raise AdapterError(f"it ended: {self._last_words()}")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise AdapterError(f"its answer is no JSON object: {_shown(line)}")
        if "error" in answer:
            raise AdapterError(_shown(str(answer["error"]).encode()))
        return answer

    def _last_words(self) -> str:
        """Return how it ended and the last line on its standard error."""
        code = self._ended(within=1)
        self._complaints.seek(0)
        lines = self._complaints.read().split(b"\n")
        last = next((line for line in reversed(lines) if line.strip()), b"")
        return f"exit code {code} {_shown(last)}".strip()

    def _ended(self, within: float) -> int | None:
        """Wait for its end; return the exit code, or None. Its number stays taken until `close`."""
        until = time.monotonic() + within
        while True:
            found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                return found.si_status
            if time.monotonic() > until:
                return None
            time.sleep(GLANCE)

    def close(self) -> None:
        """End it: by the end of its input, or else by a signal to all its processes."""
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        self._ended(within=min(self._patience, 5))
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shown(text: bytes) -> str:
    """Return what an adapter said, as part of one line."""
    return " ".join(text[:SHOWN].decode(errors="replace").split())
