"""Plain values, from TOML or JSON, as the fields of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from edgemeta.errors import InputError, did_you_mean


def as_fields(record: Mapping[str, Any], where: str, known: type[Any]) -> dict[str, Any]:
    """Check plain values against the fields of a dataclass.

    Args:
        record: by the name of the field.
        where: how errors name the record.
        known: a dataclass of numbers, strings, flags, tuples of them, literals, and such
            dataclasses.

    Returns:
        The values, by field; lists as tuples, tables as records.

    Raises:
        InputError: a name is unknown, or a value has the wrong type.
    """
    types = {field.name: str(field.type) for field in fields(known)}
    records = {name: kind for name, kind in get_type_hints(known).items() if is_dataclass(kind)}
    checked: dict[str, Any] = {}
    for name, value in record.items():
        if name not in types:
            raise InputError(
                f"{where} sets an unknown option", got=name, hint=did_you_mean(name, types)
            )
        if name in records:
            checked[name] = _record(name, value, records[name], where)
        else:
            checked[name] = _converted(name, value, types[name], where)
    return checked


def _record(name: str, value: Any, kind: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {name} is no table", got=repr(value))
    return kind(**as_fields(value, f"{where}: [{name}]", kind))


def _converted(name: str, value: Any, kind: str, where: str) -> Any:
    """Return a plain value as the type that a field has."""
    kind = kind.removesuffix(" | None")
    if kind.startswith("tuple"):
        item, content = (int, "integers") if "int" in kind else (str, "strings")
        if not isinstance(value, list) or any(type(v) is not item for v in value):
            raise InputError(f"{where}: {name} is no list of {content}", got=value)
        return tuple(value)
    # Whatever is no plain type is a Literal: one of some names.
    wanted = {"int": int, "float": (int, float), "bool": bool}.get(kind, str)
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool"):  # type: ignore[arg-type]
        raise InputError(f"{where}: {name} has the wrong type", got=repr(value), expected=kind)
    return float(value) if kind == "float" else value
