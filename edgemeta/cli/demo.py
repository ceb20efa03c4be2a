"""`edgemeta demo --web`: a page that learns drawings and words in the browser, on this machine."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from edgemeta.cli._options import json_option, say_json
from edgemeta.cli._web_server import serving
from edgemeta.errors import InputError

PAGE = Path(__file__).parents[2] / "export" / "web" / "dist" / "demo"
"""Where `make web` builds the page; it takes too much room to come with the package."""


@click.command()
@click.option("--web", is_flag=True, help="Serve the page: so far the one demo there is.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8470,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--open/--no-open", "opens", default=True, help="Open the browser. [default: open]")
@json_option
def demo(web: bool, port: int, opens: bool, as_json: bool) -> None:
    """Serve a page that learns your own symbols and words, in your browser, offline.

    Only this machine can reach it, and nothing that is drawn or said leaves the page. Ctrl-C ends
    it. The page is built by `make web` in a clone of edgemeta.

    \b
    Example:
      edgemeta demo --web
      edgemeta demo --web --port 0 --no-open
    """
    if not web:
        raise click.UsageError("say what to show: edgemeta demo --web")
    if not (PAGE / "index.html").is_file():
        raise InputError(
            "the demo page is not built",
            got=f"no {PAGE / 'index.html'}",
            hint="run `make demo-web` in a clone of edgemeta: it builds and serves the page",
        )
    with serving(PAGE, port) as server:
        if as_json:
            say_json({"url": server.url, "folder": str(PAGE)})
        else:
            click.echo(f"{server.url} (Ctrl-C ends)")
        if opens:
            webbrowser.open(server.url)
        server.wait()
