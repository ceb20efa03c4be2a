"""What is left of a graph as PyTorch's exporter writes it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edgemeta_export.lower import lower
from edgemeta_export.simplify import simplify
from edgemeta_export.trace import trace
from tests.export.passes.models import normal, ops, parse, run

IDLE = """
agraph (float[n, 4] x) => (float[n, 4] y)
{
    b = Transpose <perm = [1, 0]> (x)
    c = Transpose <perm = [1, 0]> (b)
    d = Cast <to = 1> (c)
    unread = Exp (d)
    y = Neg (d)
}
"""
KNOWN = """
agraph (float[n, 4] x) => (float[m, 4] y)
{
    half = Constant <value_float = 0.5> ()
    e = Exp (half)
    f = Log (e)
    a = Mul (x, f)
    b = Mul (x, f)
    y = Add (a, b)
}
"""


NEARLY_NOTHING = """
agraph (float[n, 4] x) => (float[n, 4] y)
{
    epsilon = Constant <value_float = 1e-8> ()
    nearly_one = Constant <value_float = 1.000001> ()
    a = Add (x, epsilon)
    y = Mul (a, nearly_one)
}
"""


def test_what_does_nothing_goes() -> None:
    x, model = normal(3, 4), parse(IDLE)
    simplify(model)
    assert ops(model.graph) == {"Neg": 1}
    assert np.array_equal(run(model, {"x": x})[0], -x)


def test_constants_are_computed_and_repetitions_share_one_node() -> None:
    x, model = normal(3, 4), parse(KNOWN)
    simplify(model)
    assert ops(model.graph) == {"Mul": 1, "Add": 1}
    assert np.allclose(run(model, {"x": x})[0], x)


def test_small_changes_stay() -> None:
    model = parse(NEARLY_NOTHING)
    simplify(model)
    assert ops(model.graph) == {"Add": 1, "Mul": 1}


def test_of_a_gradient_a_third_of_the_nodes_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient(x: Tensor, w: Tensor) -> dict[str, Tensor]:
        w = w.detach().requires_grad_()
        loss = F.max_pool2d(F.elu(F.conv2d(x, w, padding=1)), 2).square().mean()
        return {"grad": torch.autograd.grad(loss, w)[0]}

    x, w = normal(3, 2, 8, 8), normal(4, 2, 3, 3, seed=1)
    arguments = torch.from_numpy(x), torch.from_numpy(w)
    program = trace(gradient, arguments, [True, False])
    after = lower(program, ["x", "w"], ["grad"])
    monkeypatch.setattr("edgemeta_export.lower.simplify", ir.passes.common.InlinePass())
    before = lower(trace(gradient, arguments, [True, False]), ["x", "w"], ["grad"])
    assert 3 * after.graph.num_nodes() < 2 * before.graph.num_nodes()
    feed = {"x": x, "w": w}
    assert np.allclose(run(after, feed)[0], run(before, feed)[0], atol=1e-6)
