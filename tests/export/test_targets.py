"""The forms of a bundle that targets name are forms that an export can make."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from edgemeta_export.bundle_export import OPTIMIZATIONS
from edgemeta_export.opset import OLDEST, newest_opset
from edgemeta_export.targets import TARGETS, Target


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_a_target_is_a_form_that_can_be_exported(target: Target) -> None:
    assert OLDEST <= target.opset <= newest_opset()
    assert set(target.without) <= set(OPTIMIZATIONS)
    assert set(asdict(target)) == {"opset", "unroll", "without"}
