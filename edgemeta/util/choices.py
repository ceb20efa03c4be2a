"""Options that list names, or leave the choice to the data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from edgemeta.errors import InputError, did_you_mean

NONE, AUTO = "none", "auto"


def check_choices(option: str, names: Sequence[str], known: Collection[str]) -> None:
    """Check what an option lists: "none" or "auto" alone, or names that are known.

    Args:
        option: what errors call it.
        names: what it lists.
        known: the names.

    Raises:
        InputError: it lists nothing, something else, or "none" or "auto" beside others.
    """
    expected = f"{AUTO}, {NONE}, or some of {', '.join(known)}"
    unknown = [name for name in names if name not in (*known, NONE, AUTO)]
    if unknown:
        hint = did_you_mean(unknown[0], (*known, NONE, AUTO))
        raise InputError(f"unknown {option}", got=", ".join(unknown), expected=expected, hint=hint)
    if not names or (len(names) > 1 and not {NONE, AUTO}.isdisjoint(names)):
        raise InputError(
            f"{option} is no list of names", got=",".join(names) or "nothing", expected=expected
        )
