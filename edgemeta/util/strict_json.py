"""JSON: what comes from outside means one thing only and cannot cost much; and what is written.

The standard library's json parses; ours is to refuse what it lets through: a key that comes twice,
NaN, integers that not every language can hold, objects nested without end. It is I-JSON (RFC 7493)
without control characters; the readers for C++ and JavaScript take and refuse the same.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 32  # real ones nest four deep
MAX_INTEGER = 2**53 - 1  # beyond it, JavaScript has no integers
SHOWN = 300  # characters of an error

ODD_CHARACTER = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no text from outside may hold: control characters but tab and line feed, which can do harm
in a terminal, and halves of surrogate pairs, which no file can hold."""


def parse_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        content: UTF-8; whoever calls limits its size.

    Raises:
        ValueError: it is no JSON object, nests too deeply, or has a duplicate key, a number that is
            not finite, an integer beyond 53 bits, or an odd character in a string.
    """
    record = _parse(content)
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}")
    return record


def parse_list(content: bytes) -> list[Any]:
    """Read a JSON list; as `parse_object`."""
    values = _parse(content)
    if not isinstance(values, list):
        raise ValueError(f"a {type(values).__name__}")
    return values


def is_plain(text: str) -> bool:
    """Whether a text can be stored and shown everywhere: it has no `ODD_CHARACTER`."""
    return ODD_CHARACTER.search(text) is None


def short(value: object) -> str:
    """Return a text for an error that is one line of bounded length, whatever it quotes."""
    text = str(value)
    text = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return "".join(c if c.isprintable() else " " for c in text)


def without_nan(value: Any) -> Any:
    """Return `value` with null for what JSON has no number for, such as the CI of one episode."""
    if isinstance(value, Mapping):
        return {name: without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(content: bytes) -> Any:
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_no_duplicate_keys,
            parse_constant=_not_a_number,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    _check(value, MAX_DEPTH)
    return value


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("an object with a duplicate key")
    return record


def _not_a_number(text: str) -> None:
    raise ValueError(f"the number {text}")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if not is_plain(value):
            raise ValueError(f"a string with a control character: {short(repr(value))}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("an integer beyond 53 bits")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        for each in value if isinstance(value, list) else (*value, *value.values()):
            _check(each, depth - 1)
