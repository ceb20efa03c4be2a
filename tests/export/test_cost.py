"""Operations and memory, on graphs small enough to count by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgemeta.bundle import ADAPT
from edgemeta_export.cost import adaptation_cost
from tests.cases import CASE, WAYS, Compile


def chain(nodes: list[tuple[str, list[str], str]]) -> ir.Model:
    """Nodes over float32 (samples, 10) tensors, from `support_x` to `out`, and one weight `w`."""
    graph = helper.make_graph(
        [helper.make_node(op, inputs, [output]) for op, inputs, output in nodes],
        "chain",
        [helper.make_tensor_value_info("support_x", TensorProto.FLOAT, ["samples", 10])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["samples", 10])],
        [numpy_helper.from_array(np.zeros(10, np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ir.from_proto(proto)


ROW = 10 * 4  # bytes of one sample, and of the weight


def test_a_value_counts_from_its_maker_to_its_last_reader() -> None:
    straight = chain([("Add", ["support_x", "w"], "a"), ("Exp", ["a"], "b"), ("Exp", ["b"], "out")])
    # The weight, the input, and never more than two of a, b, out.
    assert adaptation_cost(straight, samples=3).peak_memory_bytes == ROW + 3 * ROW + 2 * 3 * ROW
    skip = chain(
        [("Add", ["support_x", "w"], "a"), ("Exp", ["a"], "b"), ("Add", ["a", "b"], "out")]
    )
    assert adaptation_cost(skip, samples=3).peak_memory_bytes == ROW + 3 * ROW + 3 * 3 * ROW


def test_it_grows_with_the_samples(compiled: Compile) -> None:
    manifest = compiled(CASE["conv4-group-max"]).runner.manifest
    # 7 samples of 8 channels of 28 x 28 float32 are 176 kB, and a step keeps several.
    assert 3 * 176e3 < manifest.peak_memory_bytes < 30 * 176e3


def test_the_operations_of_a_step(compiled: Compile) -> None:
    manifest = compiled(CASE["mlp-sinusoid"]).runner.manifest
    # 7 samples through 1-40-40-1. Three products a layer (forward, and back to weights and input),
    # but none back to the first layer's input; two operations each.
    products = 3 * (40 * 40 + 40) + 2 * 40
    assert manifest.adapted_parameters == 40 + 40 + 40 * 40 + 40 + 40 + 1
    assert 2 * 7 * products <= manifest.flops_per_step <= 1.3 * 2 * 7 * products


def test_no_shape_is_unknown_inside_the_steps(compiled: Compile) -> None:
    """Group norm reshapes by constants that lie outside of the Loop."""
    runner = compiled(CASE["conv4-group-max"]).runner
    model = ir.from_proto(onnx.load(runner.path / ADAPT, load_external_data=False))
    small, large = (adaptation_cost(model, samples) for samples in (10, 1000))
    # All work is done per sample, but for the weights' own.
    assert large.flops_per_step > 90 * small.flops_per_step
    # The unfolded second layer alone: 8 channels, 9 positions, 14 x 14 places.
    assert large.peak_memory_bytes > 1000 * 8 * 9 * 14 * 14 * 4


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells peak memory")
@pytest.mark.parametrize("name", ["conv4-group-max", "conv4-group-stride"])
def test_the_estimate_is_within_a_fifth_of_what_is_measured(compiled: Compile, name: str) -> None:
    runner = compiled(CASE[name]).runner
    model = ir.from_proto(onnx.load(runner.path / ADAPT, load_external_data=False))
    samples = 600  # 100 MB and more: what the process holds besides does not matter then
    small, large = (adaptation_cost(model, n).peak_memory_bytes / 1e6 for n in (WAYS, samples))
    command = [sys.executable, "-m", "benchmarks.memory", str(runner.path), str(samples)]
    root = Path(__file__).resolve().parents[2]
    child = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert 0.8 <= (large - small) / float(child.stdout) <= 1.2
