"""`edgemeta demo --web`: the server, how it ends."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgemeta.cli import demo as demo_module
from edgemeta.cli._web_server import HEADERS, HOST, serving
from edgemeta.errors import EdgemetaError
from tests.cli.conftest import Call, interruptible
from tests.web.conftest import WEB, skip_unless_built

DEMO = WEB / "dist" / "demo"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("index.html", "main.js", "a.mjs", "a.wasm", "init.bin", "manifest.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    return tmp_path


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
    with serving(folder, 0) as server:
        for name, wanted in types.items():
            response = ask(server.url, name)
            assert response.status == 200
            assert response.headers["Content-Type"] == wanted
            assert HEADERS.items() <= dict(response.headers).items()
            assert response.read().decode() == (name or "index.html")
        for name in ("missing", "empty/", "../pyproject.toml", "%2e%2e/pyproject.toml"):
            assert ask(server.url, name).status == 404


def test_it_answers_this_machine_alone(folder: Path) -> None:
    with serving(folder, 0) as server:
        assert server.url.startswith(f"http://{HOST}:")
        for host, status in (("localhost:80", 200), ("rebound.example:80", 403)):
            assert ask(server.url, "", {"Host": host}).status == status


def test_a_port_that_is_taken(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = pytest.raises(EdgemetaError, match=f"cannot serve on port {port}: got .*--port 0")
        with refused, serving(folder, port):
            pass


def test_a_page_that_is_not_built(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_module, "PAGE", tmp_path / "none", raising=True)
    done = call("demo", "--web", "--no-open")
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith("Error: the demo page is not built: got no ")
    assert "make demo-web" in done.err


def test_nothing_to_show(call: Call) -> None:
    done = call("demo")
    assert done.code == 2
    assert done.err.startswith("Error: say what to show: edgemeta demo --web")


def test_ctrl_c_ends_it() -> None:
    skip_unless_built(DEMO)
    process = interruptible("demo", "--web", "--port", "0", "--no-open", "--json")
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    assert b"<title>edgemeta" in ask(started["url"], "").read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "Error: interrupted"
