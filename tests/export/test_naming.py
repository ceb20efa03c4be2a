"""Names in a graph before they are shortened: layer, whether it is its gradient, operator."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgemeta.bundle import ADAPT, PREDICT
from edgemeta.meta.inner.updates import Update
from edgemeta_export import export_bundle
from tests.export.passes.models import normal

SAMPLES = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True)))
    model.add_module("flat", nn.Flatten())
    model.add_module("head", nn.Linear(75, 3))
    path = tmp_path_factory.mktemp("named") / "bundle"
    x, y = normal(SAMPLES, 1, 7, 7), np.arange(SAMPLES) % 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgemeta_export.storage.shorten_names", lambda graph: None)
        export_bundle(
            model, path, x, inner_lr=0.1, inner_steps=1, example_y=y, update=Update(momentum=0.5)
        )
    return path


def graphs(path: Path) -> list[onnx.GraphProto]:
    main = onnx.load(path, load_external_data=False).graph
    return [main, *(n.attribute[0].g for n in main.node if n.op_type == "Loop")]


def test_each_value_tells_its_layer_and_operator(bundle: Path) -> None:
    found = {value: node.op_type for g in graphs(bundle / ADAPT) for node in g.node
             for value in node.output}  # fmt: skip
    assert found["step/head/Gemm"] == found["last/head/Gemm"] == "Gemm"
    assert found["step/features.1/Relu"] == "Relu"
    assert found["step/loss/LogSoftmax"] == "LogSoftmax"
    assert any(name.startswith("step/features.0/grad/") for name in found)
    assert any(name.startswith("step/head/grad/") for name in found)
    assert any(name.startswith("step/update/") for name in found)
    numbered = [name for name in found if name.rpartition("/")[2].startswith(("val_", "mul_"))]
    assert not numbered


def test_constants_are_named_by_their_reader(bundle: Path) -> None:
    main, step = graphs(bundle / ADAPT)
    readers = {node.name for g in (main, step) for node in g.node}
    own = [t.name for t in main.initializer if t.name.startswith("step/")]
    assert own
    assert all("/" in name.removeprefix("step/") for name in own)
    assert len(readers) == len(main.node) + len(step.node)


@pytest.mark.parametrize("name", [ADAPT, PREDICT])
def test_no_name_occurs_twice(bundle: Path, name: str) -> None:
    every = graphs(bundle / name)
    made = [value for g in every for node in g.node for value in node.output]
    constants = [tensor.name for g in every for tensor in g.initializer]
    assert max(Counter([*made, *constants]).values()) == 1
