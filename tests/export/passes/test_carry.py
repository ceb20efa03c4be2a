"""What a Loop carries, in the layout that its body wants."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta_export.passes.carry import CarryPass
from tests.export.passes.models import cleaned, loop_body, normal, ops, parse, run


def steps_on_a_transposed_matrix(back: str = "[1, 0]", shape: str = "3, 3") -> str:
    """Each step doubles the transposed matrix and adds its first row."""
    return f"""
agraph (float[{shape}] w, int64 steps) => (float[{shape}] out)
{{
    out = Loop (steps, , w) <body = step (int64 i, bool go, float[{shape}] v) => (
        bool go_on, float[{shape}] v_next
    ) {{
        go_on = Identity (go)
        t = Transpose <perm = [1, 0]> (v)
        zero = Constant <value = int64[1] {{0}}> ()
        row = Gather <axis = 0> (t, zero)
        twice = Add (t, t)
        moved = Add (twice, row)
        v_next = Transpose <perm = {back}> (moved)
    }}>
}}
"""


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_the_conversion_happens_once_outside(steps: int) -> None:
    feed = {"w": normal(3, 3), "steps": np.array(steps)}
    (want,) = run(parse(steps_on_a_transposed_matrix()), feed)
    model = cleaned(parse(steps_on_a_transposed_matrix()), CarryPass())
    assert ops(loop_body(model))["Transpose"] == 0
    assert ops(model.graph) == {"Transpose": 2, "Loop": 1}
    assert np.array_equal(run(model, feed)[0], want)
    assert not CarryPass()(model).modified


def test_a_way_back_that_leads_elsewhere_stays() -> None:
    """The step hands on the transposed matrix: each step reads it the other way round."""
    model = parse(steps_on_a_transposed_matrix(back="[0, 1]"))
    assert not CarryPass()(model).modified


def test_a_value_that_is_read_both_ways_stays() -> None:
    text = steps_on_a_transposed_matrix().replace("Add (twice, row)", "Add (twice, v)")
    assert not CarryPass()(parse(text)).modified


BIAS = """
agraph (float[2] b, float[5, 3] x, float[3, 2] w, float[1, 5] ones, int64 steps) => (float[2] out)
<int64[1] flat = {2}>
{
    out = Loop (steps, , b) <body = step (int64 i, bool go, float[2] v) => (
        bool go_on, float[2] v_next
    ) {
        go_on = Identity (go)
        y = Gemm (x, w, v)
        row = Gemm (ones, y, v)
        v_next = Reshape (row, flat)
    }>
}
"""


@pytest.mark.parametrize("steps", [0, 2])
def test_a_bias_that_products_add_is_carried_as_a_row(steps: int) -> None:
    feed = {"b": normal(2), "x": normal(5, 3), "w": normal(3, 2)}
    feed |= {"ones": np.ones((1, 5), np.float32), "steps": np.array(steps)}
    (want,) = run(parse(BIAS), feed)
    model = cleaned(parse(BIAS), CarryPass())
    assert ops(loop_body(model)) == {"Identity": 1, "Gemm": 2}
    assert np.array_equal(run(model, feed)[0], want)


def test_a_bias_that_something_else_reads_stays() -> None:
    text = BIAS.replace(
        "v_next = Reshape (row, flat)", "n = Reshape (row, flat)\nv_next = Add(n, v)"
    )
    assert not CarryPass()(parse(text)).modified
