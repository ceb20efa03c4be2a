"""An update that the product of the gradient does on the way."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta_export.passes.fuse_update import FuseUpdatePass
from tests.export.passes.models import cleaned, normal, ops, parse, run

WEIGHTS = """
agraph (float[n, 3] x, float[n, 2] dy, float[3, 2] w) => (float[3, 2] out)
{
    left = Transpose <perm = [1, 0]> (x)
    product = MatMul (left, dy)
    out = Add (w, product)
}
"""
BIAS = """
agraph (float[1, n] ones, float[n, 2] dy, float[2] b) => (float[2] out) <int64[1] shape = {2}>
{
    row = MatMul (ones, dy)
    flat = Reshape (row, shape)
    out = Add (flat, b)
}
"""
SHARED = WEIGHTS.replace("out)\n{", "out, float[3, 2] product)\n{")
STACKED = """
agraph (float[4, n, 3] x, float[4, 3, 2] w, float[2] b) => (float[4, n, 2] out)
{
    product = MatMul (x, w)
    out = Add (product, b)
}
"""
COLUMN = """
agraph (float[3, 4] x, float[4, 2] y, float[3, 1] b) => (float[3, 2] out)
{
    product = MatMul (x, y)
    out = Add (product, b)
}
"""


def test_weights_move_in_the_product_of_their_gradient() -> None:
    feed = {"x": normal(5, 3), "dy": normal(5, 2, seed=1), "w": normal(3, 2, seed=2)}
    model = cleaned(parse(WEIGHTS), FuseUpdatePass())
    assert ops(model.graph) == {"Gemm": 1}
    assert np.allclose(run(model, feed)[0], feed["w"] + feed["x"].T @ feed["dy"], atol=1e-6)


def test_a_bias_moves_in_the_sum_of_its_gradient() -> None:
    feed = {"ones": np.ones((1, 5), np.float32), "dy": normal(5, 2), "b": normal(2, seed=1)}
    model = cleaned(parse(BIAS), FuseUpdatePass())
    assert ops(model.graph) == {"Gemm": 1, "Reshape": 1}
    assert np.allclose(run(model, feed)[0], feed["b"] + feed["dy"].sum(0), atol=1e-6)


@pytest.mark.parametrize("text", [SHARED, STACKED, COLUMN], ids=["shared", "stacked", "column"])
def test_what_gemm_cannot_add_stays(text: str) -> None:
    assert not FuseUpdatePass()(parse(text)).modified
