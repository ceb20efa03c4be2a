"""One source for the number of samples."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta_export.passes.one_size import OneSizePass
from tests.export.passes.models import normal, parse, run

COUNTS = """
agraph (float[{x}, 3] x, float[{y}, 2] y) => (int64[1] a, int64[1] b)
{{
    a = Shape <start = 0, end = 1> (x)
    b = Shape <start = {start}, end = {end}> (y)
}}
"""


def test_labels_are_counted_by_the_samples() -> None:
    model = OneSizePass()(parse(COUNTS.format(x="n", y="n", start=0, end=1))).model
    assert [node.inputs[0].name for node in model.graph if node.inputs[0]] == ["x", "x"]
    assert run(model, {"x": normal(4, 3), "y": normal(4, 2)})[1] == np.array([4])


@pytest.mark.parametrize(
    "where", [{"y": "m"}, {"y": "7"}, {"start": 1, "end": 2}, {"start": 0, "end": 2}]
)
def test_other_sizes_stay(where: dict[str, object]) -> None:
    text = COUNTS.format(**{"x": "n", "y": "n", "start": 0, "end": 1} | where)
    model = OneSizePass()(parse(text.replace("int64[1] b", "int64[k] b")))
    assert not model.modified
