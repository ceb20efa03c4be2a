"""The Loop, written out for one number of turns."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgemeta_export.passes.unroll import UnrollPass
from tests.export.passes.models import normal, ops, parse, run

COUNTED = """
agraph (float[2] x, int64 steps) => (float[2] y, float[turns] totals)
{
    y, totals = Loop <body = turn (int64 i, bool go, float[2] v) => (bool on, float[2] w, float t) {
        on = Identity (go)
        f = Cast <to = 1> (i)
        d = Mul (x, f)
        w = Add (v, d)
        t = ReduceSum <keepdims = 0> (w)
    }> (steps, , x)
}
"""
HANDED_THROUGH = """
agraph (float[2] x, int64 steps) => (float[2] y, float[2] z)
{
    y, z = Loop <body = turn (int64 i, bool go, float[2] v, float[2] k)
                       => (bool on, float[2] w, float[2] same) {
        on = Identity (go)
        w = Add (v, k)
        same = Identity (k)
    }> (steps, , x, x)
}
"""


def looping(text: str) -> ir.Model:
    """Read a model, and name its loops."""
    model = parse(text)
    for node in model.graph:
        if node.op_type == "Loop":
            node.name = "repeat"
    return model


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
@pytest.mark.parametrize("text", [COUNTED, HANDED_THROUGH])
def test_any_number_of_turns_gives_the_same(text: str, steps: int) -> None:
    feed = {"x": normal(2), "steps": np.array(steps)}
    want = run(parse(text), feed)
    unrolled = UnrollPass("repeat", 3)(looping(text))
    assert unrolled.modified
    for left, right in zip(run(unrolled.model, feed), want, strict=True):
        assert np.array_equal(left, right)
        assert left.shape == right.shape


def test_the_usual_number_runs_without_a_loop() -> None:
    model = UnrollPass("repeat", 3)(looping(COUNTED)).model
    (choice,) = (node for node in model.graph if node.op_type == "If")
    assert ops(model.graph) == {"Equal": 1, "If": 1}
    written = ops(choice.attributes["then_branch"].as_graph())
    assert written["Add"] == written["Mul"] == written["ReduceSum"] == 3
    assert "Loop" not in written
    assert ops(choice.attributes["else_branch"].as_graph()) == {"Loop": 1}


def test_other_loops_stay() -> None:
    assert not UnrollPass("another", 3)(looping(COUNTED)).modified
