"""The JavaScript package in Node, driven by JSON lines."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "export" / "web"


def skip_unless_built(path: Path) -> None:
    """Skip where `make web` has not been run; fail where EDGEMETA_REQUIRE_WEB says that it has."""
    if not path.exists():
        if os.environ.get("EDGEMETA_REQUIRE_WEB") == "1":
            pytest.fail(f"{path} is missing: run `make web`")
        pytest.skip(f"{path} is missing: run `make web`")


class Node:
    """The package, in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(WEB / "test" / "drive.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        """Return the answer to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **request}, default=str) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=10)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    skip_unless_built(WEB / "node_modules")
    skip_unless_built(WEB / "dist" / "lib" / "index.js")
    process = Node()
    yield process
    process.close()
