"""Bundles without a loop, for the usual number of steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgemeta import Runner
from edgemeta.bundle import ADAPT
from edgemeta.meta.inner.updates import Update
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.ort_format import write_ort_format
from tests.export.passes.models import normal

pytestmark = pytest.mark.usefixtures("lowered_once")

USUAL = 3
X, Y = normal(7, 1, 9, 9), np.arange(7) % 3


def export(path: Path, form: GraphForm) -> Runner:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    export_bundle(
        model,
        path,
        X,
        inner_lr=0.05,
        inner_steps=USUAL,
        update=Update("adam"),
        example_y=Y,
        form=form,
    )
    return Runner(path, threads=1)


@pytest.mark.parametrize("form", [GraphForm(), GraphForm(opset=17), GraphForm(chunk=4)], ids=str)
def test_a_caller_sees_no_difference(tmp_path: Path, form: GraphForm) -> None:
    looped = export(tmp_path / "looped", form)
    unrolled = export(tmp_path / "unrolled", replace(form, unroll=True))
    for samples, steps in ((7, USUAL), (2, USUAL), (7, 0), (7, 1), (7, 5)):
        left, right = (r.adapt(X[:samples], Y[:samples], steps=steps) for r in (looped, unrolled))
        assert left.losses.shape == right.losses.shape
        assert np.allclose(left.losses, right.losses, rtol=1e-6)
        for name, value in left.state_dict().items():
            assert np.allclose(value, right.state_dict()[name], atol=1e-6), (name, steps)


def test_the_usual_number_meets_no_loop(tmp_path: Path) -> None:
    graph = onnx.load(export(tmp_path / "b", GraphForm(unroll=True)).path / ADAPT).graph
    (choice,) = (node for node in graph.node if node.op_type == "If")
    branches = {attribute.name: attribute.g for attribute in choice.attribute}
    assert all(node.op_type != "Loop" for node in (*graph.node, *branches["then_branch"].node))
    assert [node.op_type for node in branches["else_branch"].node] == ["Loop"]


def test_it_goes_into_the_format_of_minimal_builds(tmp_path: Path) -> None:
    runner = export(tmp_path / "b", GraphForm(unroll=True))
    write_ort_format(runner.path, tmp_path / "ort")
    assert "Loop" in next((tmp_path / "ort").glob("*.config")).read_text()
