"""The errors that edgemeta raises, each one line: what is wrong, got, expected, next step."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgemetaError(Exception):
    """The base of all errors of this package; its text is one line fit for a person to read.

    Args:
        what: what is wrong, naming the thing ("support_x has the wrong shape").
        got: what was found.
        expected: what was wanted instead.
        hint: what the reader can do next.
    """

    exit_code = 1
    """What the command line exits with: 2 for bad input or usage, 1 for a failure."""

    def __init__(
        self,
        what: str,
        *,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.got, self.expected, self.hint = what, got, expected, hint
        facts = [f"got {got}"] if got is not None else []
        facts += [f"expected {expected}"] if expected is not None else []
        text = what + (": " + ", ".join(facts) if facts else "") + (f"; {hint}" if hint else "")
        super().__init__(" ".join(text.split()))


class InputError(EdgemetaError, ValueError):
    """The caller's data or options cannot be used."""

    exit_code = 2


class NotFittedError(InputError, AttributeError):
    """An estimator was asked for what only `fit` gives it."""


class BundleError(EdgemetaError):
    """A bundle or a state file is missing, damaged, or of an unknown version."""

    exit_code = 2


class UnsupportedModelError(EdgemetaError):
    """A model cannot be compiled as it is; the text names every obstacle at once."""

    exit_code = 2


class ParityError(EdgemetaError):
    """A runtime computes something else than PyTorch did."""


class TrainingError(EdgemetaError):
    """Meta-training cannot go on, for example because the loss is not finite."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint at the known name that is nearest to a wrong one; None if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else None
