"""Scikit-learn's convention for parameters, without scikit-learn.

The constructor's arguments are attributes of the same names, stored as they come; whatever `fit`
finds has a name that ends with an underscore, or begins with one.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

from edgemeta.errors import InputError, did_you_mean


class Parameters:
    """What scikit-learn's tools expect of an estimator's parameters."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return list(inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; `deep` makes no difference, since none is an estimator."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; they count from the next call on.

        Raises:
            InputError: there is no such parameter; none is set then.
        """
        known = self._parameter_names()
        for name in params:
            if name not in known:
                raise InputError(
                    f"{type(self).__name__} has no such parameter",
                    got=name,
                    expected=", ".join(known),
                    hint=did_you_mean(name, known),
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"
