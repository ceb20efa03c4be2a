"""What only some systems have is asked for with a fallback, wherever in the packages it stands."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "edgemeta", ROOT / "export" / "edgemeta_export")
MODULES = ("fcntl", "grp", "msvcrt", "pwd", "resource", "termios", "winreg")
NAMES = {
    "os": (
        *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "fork", "forkpty", "geteuid"),
        *("getloadavg", "getuid", "killpg", "link", "mkfifo", "nice", "register_at_fork"),
        *("sched_getaffinity", "sysconf", "uname"),
    ),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "alarm", "setitimer"),
}
TEXT = ("read_text", "write_text")
NOT_PATHS = ("os", "pillow", "wave", "gzip", "webbrowser")


def found(source: str) -> list[str]:
    """Return what a source takes for granted: names, modules, and the encoding of text files."""
    tree = ast.parse(source)
    asked = {
        call.args[1].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "hasattr"
        and isinstance(call.args[1], ast.Constant)
    }
    tried = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.Try)
        and any("ImportError" in ast.unparse(h.type) for h in block.handlers if h.type)
        for statement in block.body
        for node in ast.walk(statement)
    }
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in tried:
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            wrong += [name for name in names if name in MODULES]
        if isinstance(node, ast.Attribute) and node.attr not in asked:
            module = ast.unparse(node.value)
            if node.attr in NAMES.get(module, ()):
                wrong.append(f"{module}.{node.attr}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords}
            binary = any("b" in str(getattr(arg, "value", "")) for arg in node.args)
            if node.func.attr in TEXT and not given & {"encoding", "errors"}:
                wrong.append(f"{node.func.attr} without an encoding")
            if node.func.attr == "open" and is_path(node) and not (binary or "encoding" in given):
                wrong.append("open without an encoding")
    return wrong


def is_path(call: ast.Call) -> bool:
    """Whether `x.open(...)` may open a text file: others than `NOT_PATHS`."""
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value) not in NOT_PATHS


def test_nothing_is_asked_of_a_system_that_may_lack_it() -> None:
    paths = [path for package in PACKAGES for path in package.rglob("*.py")]
    assert {path: wrong for path in paths if (wrong := found(path.read_text()))} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.fork()", ["os.fork"]),
        ("import os\nif hasattr(os, 'fork'):\n    os.fork()", []),
        ("from fcntl import flock", ["fcntl"]),
        ("try:\n    import fcntl\nexcept ImportError:\n    pass", []),
        ("path.read_text()", ["read_text without an encoding"]),
        ("path.open('w')", ["open without an encoding"]),
        ("path.open('wb')", []),
    ],
)
def test_the_search_finds_what_it_is_for(source: str, expected: list[str]) -> None:
    assert found(source) == expected
