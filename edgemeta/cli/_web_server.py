"""A web server for a folder of files that only this machine can reach."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edgemeta.errors import EdgemetaError

HOST = "127.0.0.1"
GLANCE = 0.5  # seconds; on Windows a thread that waits without a limit does not see Ctrl-C

HEADERS = {
    # Together they isolate the page, which is what lets WebAssembly have threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Handler(SimpleHTTPRequestHandler):
    # Not what the machine's own tables say: browsers refuse modules and WebAssembly of other types.
    extensions_map = {  # noqa: RUF012  # as the base class has it
        "": "application/octet-stream",
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".mjs": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def parse_request(self) -> bool:
        # A page elsewhere can have its own name point here, and would read what is served.
        if not super().parse_request():
            return False
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (HOST, "localhost"):
            self.send_error(403, "served to this machine alone")
            return False
        return True

    def list_directory(self, path: Any) -> None:
        self.send_error(404, "no such file")

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing for each request."""


class Server:
    """A server that runs.

    Attributes:
        url: of the folder.
    """

    def __init__(self, url: str, thread: threading.Thread) -> None:
        self.url = url
        self._thread = thread

    def wait(self) -> None:
        """Return when the server ends; a Ctrl-C comes through."""
        while self._thread.is_alive():
            self._thread.join(GLANCE)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Server]:
    """Serve a folder on 127.0.0.1 while the block runs.

    Args:
        folder: what to serve.
        port: 0 for one that is free.

    Raises:
        EdgemetaError: the port is taken, or not allowed.
    """
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise EdgemetaError(
            f"cannot serve on port {port}",
            got=error.strerror,
            hint="choose another with --port, or --port 0 for a free one",
        ) from error
    with server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Server(f"http://{HOST}:{server.server_address[1]}/", thread)
        finally:
            server.shutdown()
            thread.join()
