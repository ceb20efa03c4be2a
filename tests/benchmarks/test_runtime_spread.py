"""The spread of runtimes is measured in settings that reach onnxruntime, beside a tolerance."""

from __future__ import annotations

import pytest

from benchmarks.runtime_spread import NAMES, main
from tests.zoo import ROWS


def test_a_line_has_the_figures_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(NAMES) <= {row.name for row in ROWS}
    main(["Conv2d"])
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "ratio"
    name, *figures = line.split()
    assert name == "Conv2d"
    exact, jitter, farthest, apart, _ = map(float, figures)
    assert 0 < exact < 1
    assert 0 < jitter < 1
    assert 0 < farthest < 1
    assert apart <= 2 * farthest
