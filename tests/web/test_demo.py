"""The server of the demo page: what it answers to whom, and how it ends."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.web.conftest import WEB, skip_unless_built

TOOL, BUILT = WEB / "tools" / "demo.mjs", WEB / "dist" / "demo"
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
}

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("index.html", "main.js", "a.mjs", "a.wasm", "init.bin", "manifest.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    return tmp_path


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the address of a page and the process that serves it."""
    command = ["node", str(TOOL), *map(str, arguments), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0], process
    finally:
        process.kill()
        process.communicate(timeout=30)


def refused(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Return what a call that cannot work says."""
    command = ["node", str(TOOL), *map(str, arguments), "--no-open"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done


def ask(url: str, name: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
    """Return the answer to a request; the connection is closed when it has been read."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    connection.request("GET", f"/{name}", headers={"Connection": "close", **(headers or {})})
    return connection.getresponse()


def test_files_have_the_types_that_browsers_ask_for(folder: Path) -> None:
    types = {
        "": "text/html; charset=utf-8",
        "main.js": "text/javascript; charset=utf-8",
        "a.mjs": "text/javascript; charset=utf-8",
        "a.wasm": "application/wasm",
        "init.bin": "application/octet-stream",
        "manifest.json": "application/json",
    }
    outside = ("../pyproject.toml", "%2e%2e/pyproject.toml", "..%2fpyproject.toml")
    with serving(folder) as (url, _):
        for name, wanted in types.items():
            response = ask(url, name)
            assert response.status == 200
            assert response.headers["Content-Type"] == wanted
            assert HEADERS.items() <= dict(response.headers).items()
            assert response.read().decode() == (name or "index.html")
        for name in ("missing", "empty/", "%", *outside):
            assert ask(url, name).status == 404


def test_it_answers_this_machine_alone(folder: Path) -> None:
    with serving(folder) as (url, _):
        assert url.startswith("http://127.0.0.1:")
        for host, status in (("localhost:80", 200), ("rebound.example:80", 403)):
            assert ask(url, "", {"Host": host}).status == status


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = refused(folder, "--port", port)
    assert done.returncode == 1
    assert f"cannot serve on port {port}: got EADDRINUSE; choose another" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port is no port: got 65536, expected 0 to 65535"),
        (["--prot", "1"], "Unknown option '--prot'"),
        (["nowhere"], "the demo page is not built: got no nowhere/index.html; run `make demo-web`"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], message: str) -> None:
    done = refused(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_ctrl_c_ends_it(folder: Path) -> None:
    with serving(folder) as (_, process):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")


def test_the_page_that_is_built() -> None:
    skip_unless_built(BUILT)
    with serving() as (url, _):
        assert b"<title>edgemeta" in ask(url, "").read()
