"""The seal of a manifest: the hash of its other fields, in the one form that they are hashed in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "seal"


def canonical(record: Mapping[str, Any]) -> bytes:
    """Return a record as the bytes that are hashed.

    JSON in UTF-8: keys sorted by code point, no spaces, no escapes but those that JSON demands,
    numbers in the shortest form that reads back the same, as Python writes them.

    Example:
        >>> canonical({"b": [1.5, "ü"], "a": None}).decode()
        '{"a":null,"b":[1.5,"ü"]}'
    """
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def seal_of(record: Mapping[str, Any]) -> str:
    """Return the seal of a manifest: the sha256, in hex, of all that it says but the seal."""
    rest = {name: value for name, value in record.items() if name != SEAL}
    return hashlib.sha256(canonical(rest)).hexdigest()
