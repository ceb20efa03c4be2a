"""HTML from values: whatever comes from data or a config is escaped here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from edgemeta.measure.evaluate import plus_minus


def text(value: object) -> str:
    """Return a value as HTML text."""
    return escape(str(value))


def counted(count: int, what: str) -> str:
    """Return "1 step", "2 steps"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def paragraph(value: object) -> str:
    """Return a value as a paragraph of text."""
    return f"<p>{text(value)}</p>"


def section(title: str, *parts: str) -> str:
    """Return a heading and what stands below it, which is HTML already."""
    return f"<section>\n<h2>{text(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table whose first column names the rows; it scrolls where it is too wide."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = "\n".join(
        f'<tr><th scope="row">{text(first)}</th>'
        + "".join(f"<td>{text(cell)}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    return (
        f'<div class="wide"><table>\n<caption>{text(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def estimate(entry: Mapping[str, Any]) -> str:
    """Return a mean ± its confidence interval, which no line break tears apart."""
    return plus_minus(entry["mean"], entry["ci95"]).replace(" ", "\N{NO-BREAK SPACE}")


def image(content: bytes, kind: str, alt: str) -> str:
    """Return an image that is part of the page; `kind` is "png" or "svg+xml"."""
    return f'<img src="{data_uri(content, kind)}" alt="{text(alt)}">'


def data_uri(content: bytes, kind: str) -> str:
    """Return an image's bytes as an address."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def figure(picture: str, caption: str, mark: str = "") -> str:
    """Return a picture, which is HTML already, with its caption; `mark` is a CSS class."""
    kind = f' class="{mark}"' if mark else ""
    return f"<figure{kind}>{picture}<figcaption>{text(caption)}</figcaption></figure>"
