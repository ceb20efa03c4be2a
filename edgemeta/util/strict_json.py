"""JSON: what comes from outside means one thing only and cannot cost much; and what is written.

The standard library's json parses; ours is to refuse what it lets through: a key that comes twice,
NaN, integers of any size, objects nested without end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 32  # real ones nest four deep
MAX_INTEGER = 2**63 - 1  # what an int64 holds
SHOWN = 300  # characters of an error
LINES = {ord(character): None for character in "\n\t"}  # harmless, though not printable


def parse_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        content: UTF-8; whoever calls limits its size.

    Raises:
        ValueError: it is no JSON object, nests too deeply, or has a duplicate key, a number that is
            not finite or beyond 64 bits, or a control character in a string.
    """
    try:
        record = json.loads(
            content.decode(),
            object_pairs_hook=_no_duplicate_keys,
            parse_constant=_not_a_number,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}")
    _check(record, MAX_DEPTH)
    return record


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


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("an object with a duplicate key")
    return record


def _not_a_number(text: str) -> None:
    raise ValueError(f"the number {text}")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        # Half of a surrogate pair cannot be printed; an escape sequence can do harm in a terminal.
        if not value.isprintable() and not value.translate(LINES).isprintable():
            raise ValueError(f"a string with a control character: {short(repr(value))}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("an integer beyond 64 bits")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        for each in value if isinstance(value, list) else (*value, *value.values()):
            _check(each, depth - 1)
