"""What does not change between turns, in front of the Loop."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgemeta.bundle import ADAPT
from edgemeta_export.passes.hoist import HoistPass
from tests.cases import CASE, Compile
from tests.export.passes.models import loop_body, normal, ops, parse, run

# y, as often as said: y <- y + exp(x) * 2, where exp(x) * 2 does not change.
LOOP = """
agraph (float[2] x, int64 steps) => (float[2] out) <float[1] two = {2}>
{
    out = Loop (steps, , x) <body = step (int64 i, bool go, float[2] y) => (
        bool go_on, float[2] y_next
    ) {
        go_on = Identity (go)
        e = Exp (x)
        twice = Mul (e, two)
        y_next = Add (y, twice)
    }>
}
"""
# The inner Loop adds exp(-y) and sigmoid(x), twice: the outer turn changes y, nothing changes x.
NESTED = """
agraph (float[2] x, int64 steps) => (float[2] out) <int64 twice = {2}>
{
    out = Loop (steps, , x) <body = outer_step (int64 i, bool go, float[2] y) => (
        bool go_on, float[2] y_next
    ) {
        go_on = Identity (go)
        y_next = Loop (twice, , y) <body = inner_step (int64 j, bool on, float[2] z) => (
            bool still, float[2] z_next
        ) {
            still = Identity (on)
            n = Neg (y)
            e = Exp (n)
            s = Sigmoid (x)
            u = Add (z, e)
            z_next = Add (u, s)
        }>
    }>
}
"""


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_hoisting_moves_what_does_not_change_and_nothing_else(steps: int) -> None:
    feed = {"x": normal(2), "steps": np.array(steps)}
    (want,) = run(parse(LOOP), feed)
    hoisted = HoistPass()(parse(LOOP))
    assert hoisted.modified
    assert [node.op_type for node in hoisted.model.graph] == ["Exp", "Mul", "Loop"]
    assert ops(loop_body(hoisted.model)) == {"Identity": 1, "Add": 1}
    assert np.array_equal(run(hoisted.model, feed)[0], want)
    assert not HoistPass()(hoisted.model).modified


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_out_of_a_loop_in_a_loop_as_far_as_it_goes(steps: int) -> None:
    feed = {"x": normal(2), "steps": np.array(steps)}
    (want,) = run(parse(NESTED), feed)
    model = HoistPass()(parse(NESTED)).model
    outer = loop_body(model)
    inner = loop_body(ir.Model(outer, ir_version=10))
    assert ops(model.graph) == {"Sigmoid": 1, "Loop": 1}
    assert ops(outer) == {"Identity": 1, "Neg": 1, "Exp": 1, "Loop": 1}
    assert ops(inner) == {"Identity": 1, "Add": 2}
    model = HoistPass()(parse(NESTED)).model
    assert np.allclose(run(model, feed)[0], want)


def test_the_support_set_is_prepared_once_not_once_per_step(compiled: Compile) -> None:
    path = compiled(CASE["conv4-group-max"]).runner.path / ADAPT
    model = ir.from_proto(onnx.load(path, load_external_data=False))
    body = loop_body(model)
    reads = {value.name for node in body for value in node.inputs if value is not None}
    assert "support_x" not in reads
    assert "support_y" not in reads
    # Pixels to 0..1, labels to one-hot.
    assert {"Cast", "Div", "Equal"} <= set(ops(model.graph))
