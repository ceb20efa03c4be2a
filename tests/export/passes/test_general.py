"""The clean-ups that onnx_ir brings: what they leave of a graph."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta_export.passes import PASSES, optimize
from tests.export.passes.models import normal, ops, parse, run

REPEATED = """
agraph (float[2] x) => (float[2] y) <float[2] one = {1, 1}, float[2] also_one = {1, 1}>
{
    a = Add (x, one)
    b = Add (x, also_one)
    c = Exp (a)
    d = Exp (b)
    unread = Log (a)
    y = Mul (c, d)
}
"""


@pytest.mark.parametrize(
    ("chosen", "nodes", "constants"),
    [
        ([], {"Add": 2, "Exp": 2, "Log": 1, "Mul": 1}, 2),
        (["deduplicate"], {"Add": 2, "Exp": 2, "Log": 1, "Mul": 1}, 1),
        (["common"], {"Add": 2, "Exp": 2, "Log": 1, "Mul": 1}, 2),  # the constants differ by name
        (["deduplicate", "common"], {"Add": 1, "Exp": 1, "Log": 1, "Mul": 1}, 1),
        (["unused"], {"Add": 2, "Exp": 2, "Mul": 1}, 2),
        (["deduplicate", "common", "unused"], {"Add": 1, "Exp": 1, "Mul": 1}, 1),
    ],
    ids=str,
)
def test_each_removes_what_it_is_for(
    chosen: list[str], nodes: dict[str, int], constants: int
) -> None:
    x = normal(2)
    model = optimize(parse(REPEATED), without=set(PASSES) - set(chosen))
    assert ops(model.graph) == nodes
    assert len(model.graph.initializers) == constants
    assert np.allclose(run(model, {"x": x})[0], np.exp(x + 1) ** 2, rtol=1e-6)
