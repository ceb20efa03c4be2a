"""The runtimes that take part: what starts each of them, and how to tell that it is there.

A new runtime is one adapter, which speaks the protocol of docs/parity.md, and one row here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIRED = "EDGEMETA_REQUIRE_RUNTIMES"
"""Variable with the names, separated by commas, of runtimes that must be there."""


@dataclass(frozen=True)
class Runtime:
    """One row.

    Attributes:
        name: in tables and in the variable.
        command: of the adapter; it is started in the project's root.
        needs: a file or folder that is there once it was built; None where nothing is to build.
        make: the target that builds it.
        note: what has to be known of its figures.
    """

    name: str
    command: tuple[str, ...]
    needs: str | None = None
    make: str | None = None
    note: str = ""

    def missing(self) -> str | None:
        """Return why it cannot be started; None if it can."""
        if self.needs is None or (ROOT / self.needs).exists():
            return None
        return f"{self.name} is not built: no {self.needs}; run `make {self.make}`"


WEB = "export/web"
EMULATED = "runs on an emulated ARM processor (QEMU): it computes the same, its times say nothing"
RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("python", (sys.executable, "-m", "tests.parity.adapters.python")),
        Runtime("cpp", ("build/cpp/edgemeta-cpp", "serve"), "build/cpp/edgemeta-cpp", "cpp"),
        Runtime("cpp-arm64", ("build/arm64/run", "serve"), "build/arm64/run", "arm", EMULATED),
        Runtime("node", ("node", f"{WEB}/parity/node.mjs"), f"{WEB}/dist/lib/index.js", "web"),
        Runtime("chromium", ("node", f"{WEB}/parity/chromium.mjs"), f"{WEB}/dist/parity", "web"),
    )
}


def required() -> set[str]:
    """Return the names of the runtimes that must be there.

    Raises:
        ValueError: the variable has a name that no runtime has.
    """
    names = {name.strip() for name in os.environ.get(REQUIRED, "").split(",")} - {""}
    if odd := sorted(names - set(RUNTIMES)):
        raise ValueError(f"{REQUIRED}: unknown runtime {', '.join(odd)}; known: {list(RUNTIMES)}")
    return names


def absent(runtime: Runtime, unwanted: Callable[[str], None]) -> str | None:
    """Return why a runtime is left out; None if it is there.

    Args:
        runtime: one of them.
        unwanted: is told if it must be there and is not.
    """
    reason = runtime.missing()
    if reason is not None and runtime.name in required():
        unwanted(reason)
    return reason
