"""Forms of a bundle that cannot be made are refused as they are named."""

from __future__ import annotations

from typing import Any

import pytest

from edgemeta.errors import InputError
from edgemeta_export import GraphForm


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"chunk": 0}, "chunk is too small: got 0, expected at least 1"),
        ({"without": ("tiles", "nothing")}, "unknown optimization: got nothing, expected some of"),
    ],
)
def test_what_is_no_form(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        GraphForm(**choices)
    assert "\n" not in str(caught.value)
