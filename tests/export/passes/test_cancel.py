"""Rearrangements that undo each other."""

from __future__ import annotations

import numpy as np

from edgemeta_export.passes.cancel import CancelPass
from tests.export.passes.models import cleaned, normal, ops, parse, run

THERE_AND_BACK = """
agraph (float[4, 3, 2] x) => (float[4, 3, 2] y) <int64[2] flat = {6, 4}, int64[3] deep = {2, 3, 4}>
{
    a = Transpose <perm = [2, 1, 0]> (x)
    b = Reshape (a, flat)
    c = Reshape (b, deep)
    d = Transpose <perm = [2, 1, 0]> (c)
    y = Neg (d)
}
"""
FREE_SIZES = """
agraph (float[n, m] x) => (float[n, m] y)
{
    a = Transpose <perm = [1, 0]> (x)
    b = Transpose <perm = [1, 0]> (a)
    y = Neg (b)
}
"""
ELSEWHERE = """
agraph (float[4, 4] x) => (float[4, 4] y) <int64[2] flat = {4, 4}>
{
    a = Transpose <perm = [1, 0]> (x)
    b = Reshape (a, flat)
    y = Neg (b)
}
"""


def test_a_chain_that_ends_where_it_began_goes() -> None:
    x = normal(4, 3, 2)
    model = cleaned(parse(THERE_AND_BACK), CancelPass())
    assert ops(model.graph) == {"Neg": 1}
    assert np.array_equal(run(model, {"x": x})[0], -x)


def test_axes_of_unknown_size_can_be_told_apart() -> None:
    model = cleaned(parse(FREE_SIZES), CancelPass())
    assert ops(model.graph) == {"Neg": 1}


def test_the_same_shape_is_not_the_same_order() -> None:
    x = normal(4, 4)
    model = cleaned(parse(ELSEWHERE), CancelPass())
    assert ops(model.graph) == {"Transpose": 1, "Reshape": 1, "Neg": 1}
    assert np.array_equal(run(model, {"x": x})[0], -x.T)
