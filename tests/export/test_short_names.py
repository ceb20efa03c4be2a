"""Short names inside a finished graph, and the long ones that stay."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from edgemeta.bundle import ADAPT, PREDICT
from edgemeta_export import export_bundle
from edgemeta_export.bodies import graphs_in
from edgemeta_export.short_names import _short_names, shorten_names
from tests.export.passes.models import normal

SAMPLES = 6
LOOP = """
<ir_version: 10, opset_import: ["": 22]>
counts (int64 turns, float a) => (float[rows] "all/rows", float "loop/total")
<float "step/add/1" = {2.0}>
{
    "first/Mul" = Mul (a, "step/add/1")
    "first/Relu" = Relu ("first/Mul")
    "second/loop", "all/rows" = Loop <body = turn
        (int64 "turn/number", bool "turn/going", float "turn/x")
        => (bool "turn/on", float "turn/sum", float "turn/row")
    {
        "turn/on" = Identity ("turn/going")
        "step/Add" = Add ("turn/x", "step/add/1")
        "turn/sum" = Add ("step/Add", "first/Relu")
        "turn/row" = Identity ("turn/sum")
    }> (turns, , "first/Relu")
    "loop/total" = Identity ("second/loop")
}
"""


def text(source: str) -> onnx.ModelProto:
    """Parse ONNX text whose names have slashes, which the parser does not take."""
    for name in set(re.findall(r"\w+(?:/\w+)+", source)):
        source = re.sub(rf'"{name}"', name.replace("/", "__"), source)
    model = onnx.parser.parse_model(source)
    for graph in graphs_in(model.graph):
        for node in graph.node:
            for values in (node.input, node.output):
                values[:] = [name.replace("__", "/") for name in values]
        for value in (*graph.input, *graph.output, *graph.initializer):
            value.name = value.name.replace("__", "/")
    return model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(75, 3))
    path = tmp_path_factory.mktemp("short") / "bundle"
    x, y = normal(SAMPLES, 1, 7, 7), np.arange(SAMPLES) % 3
    return export_bundle(model, path, x, inner_lr=0.1, inner_steps=1, example_y=y)


def test_a_graph_computes_the_same() -> None:
    model = text(LOOP)
    feed = {"turns": np.array(3), "a": np.array(1.5, np.float32)}

    def run() -> list[Any]:
        return list(onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed))

    before = run()
    shorten_names(model.graph)
    onnx.checker.check_model(model, full_check=True)
    for one, other in zip(before, run(), strict=True):
        assert np.array_equal(one, other)


def test_what_callers_use_keeps_its_name() -> None:
    model = text(LOOP)
    shorten_names(model.graph)
    assert [value.name for value in model.graph.input] == ["turns", "a"]
    assert [value.name for value in model.graph.output] == ["all/rows", "loop/total"]
    inner = {v for g in graphs_in(model.graph) for node in g.node for v in node.output}
    assert all(len(name) == 1 for name in inner - {"all/rows", "loop/total"})
    # The input is called so already.
    assert "a" not in inner


def test_a_node_has_a_name_where_another_layer_begins() -> None:
    model = text(LOOP)
    shorten_names(model.graph)
    main, body = graphs_in(model.graph)
    assert [node.name for node in main.node] == ["first/Mul", "", "second/loop", "loop/total"]
    assert [node.name for node in body.node] == ["turn/on", "step/Add", "turn/sum", ""]


def test_a_loop_keeps_its_name_beside_others_of_its_layer() -> None:
    model = text(LOOP.replace("second/loop", "first/loop"))
    shorten_names(model.graph)
    assert model.graph.node[2].name == "first/loop"


@pytest.mark.parametrize("name", [ADAPT, PREDICT])
def test_a_viewer_of_a_bundle_tells_the_layers(bundle: Path, name: str) -> None:
    found = set()
    for graph in graphs_in(onnx.load(bundle / name, load_external_data=False).graph):
        layer = ""
        for node in graph.node:
            layer = node.name.rpartition("/")[0] if node.name else layer
            found.add((layer, node.op_type))
    if name == PREDICT:
        assert ("predict/3", "Gemm") in found
    else:
        assert found >= {("step/3", "Gemm"), ("step/1", "Relu"), ("step/loss", "LogSoftmax")}
        assert {"step/0/grad", "step/3/grad"} <= {layer for layer, _ in found}


@pytest.mark.parametrize("name", [ADAPT, PREDICT])
def test_a_bundle_has_short_names_and_those_of_its_weights(bundle: Path, name: str) -> None:
    main = onnx.load(bundle / name, load_external_data=False).graph
    kept = {value.name for value in (*main.input, *main.output)}
    weights = {tensor.name for tensor in main.initializer if tensor.external_data}
    assert {"0.weight", "0.bias", "3.weight", "3.bias"} <= weights
    values = {v for g in graphs_in(main) for node in g.node for v in (*node.input, *node.output)}
    assert max(map(len, values - kept - weights)) <= 2


def test_short_names_do_not_repeat() -> None:
    names = list(islice(_short_names(), 5000))
    assert len(set(names)) == len(names)
    assert names[:2] == ["a", "b"]
    assert names[25:27] == ["z", "aa"]
    assert max(map(len, names)) == 3
    assert all(name.isidentifier() for name in names)
