"""What is frozen in front of the inner steps in 8 bits, and what that costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgemeta import InputError, Runner
from edgemeta.bundle import ADAPT, INIT, PREDICT
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.neck import CenteredCosine
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks._given import from_arrays
from edgemeta_export import export_bundle
from edgemeta_export.int8 import calibration_samples, quantize_front
from edgemeta_export.int8_accuracy import Setting, before_and_after, validated

WAYS = 3


def network(head: nn.Module | None = None) -> nn.Sequential:
    """Convolutions with batch norm, and a head that is named "9.*"."""
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
        nn.Conv2d(32, 64, 3, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Identity(),
        nn.Linear(64, WAYS) if head is None else head,
    )
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return made.eval()


def samples(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return pictures of three colours."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % WAYS
    x = rng.normal(size=(count, 3, 12, 12)).astype(np.float32)
    x[np.arange(count), y] += 2
    return x, y


def weights(path: Path, name: str) -> dict[str, int]:
    graph = onnx.load(path / name).graph
    return {t.name: t.data_type for t in graph.initializer if np.prod(t.dims) > 1000}


def test_the_front_is_int8_and_a_quarter_of_the_size(tmp_path: Path) -> None:
    x, y = samples(9)
    choices = {"inner_lr": 0.1, "inner_steps": 3, "adapt": ("9.*",), "example_y": y}
    plain = export_bundle(network(), tmp_path / "plain", x, **choices)  # type: ignore[arg-type]
    calibration, _ = samples(60, seed=1)
    path = export_bundle(network(), tmp_path / "int8", x, int8=calibration, **choices)  # type: ignore[arg-type]
    runner = Runner(path, threads=1)
    assert [tensor.name for tensor in runner.manifest.state] == ["9.weight", "9.bias"]
    assert runner.manifest.parity["reference"] == "PyTorch; onnxruntime for quantized_front"
    assert Runner(plain).manifest.parity["reference"] == "PyTorch"
    for name in (ADAPT, PREDICT):
        assert set(weights(path, name).values()) == {onnx.TensorProto.INT8}
        assert weights(plain, name)
    # The head, and scales of channels, are what remains of the float32.
    assert (path / INIT).stat().st_size < 0.35 * (plain / INIT).stat().st_size
    # What it learns is what the float network learns, but for rounding to 8 bits.
    support, query = samples(15, seed=2), samples(60, seed=3)
    found = [Runner(p, threads=1).adapt(*support).predict_logits(query[0]) for p in (plain, path)]
    apart = np.abs(found[0] - found[1]).max() / np.abs(found[0]).max()
    assert 1e-4 < apart < 0.1


def test_a_batch_norm_is_folded_not_quantized(tmp_path: Path) -> None:
    x, _ = samples(9)
    made = quantize_front(network(), ["9.weight", "9.bias"], x)
    (graph,) = (m.graph for m in made.modules() if isinstance(m, OnnxModule))
    ops = {node.op_type for node in graph.lowered.graph}
    assert {"QuantizeLinear", "DequantizeLinear", "Conv"} <= ops
    assert "BatchNormalization" not in ops


def test_calibrating_twice_gives_the_same(tmp_path: Path) -> None:
    x, y = samples(9)
    for name in ("a", "b"):
        export_bundle(
            network(),
            tmp_path / name,
            x,
            inner_lr=0.1,
            inner_steps=1,
            adapt=("9.*",),
            example_y=y,
            int8=x,
        )
    assert (tmp_path / "a" / ADAPT).read_bytes() == (tmp_path / "b" / ADAPT).read_bytes()


def test_accuracy_before_and_after_is_on_validation_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path))
    x, y = samples(180)
    split = np.repeat([0, 1, 2], 60)
    source = from_arrays(x, y, subject=np.repeat(np.arange(6), 30), split=split, by="subject")
    size = EpisodeSize(WAYS, 1, 5)
    body = network()[:8]
    model = BodyModel(body, CenteredCosine(64), SharedHead(64)).eval()
    made = quantize_front(model, ["head.weight", "head.bias"], calibration_samples(source, size))
    cache, setting = FeatureCache(source), Setting(("head.*",), size=size)
    found = before_and_after(model, made, cache, setting)
    assert found.split == "val"
    assert found.metric == "accuracy"
    assert found.float32 is not None
    assert found.int8 is not None
    assert found.float32 > 0.8
    assert abs(found.float32 - found.int8) < 0.05
    other = validated(made, cache, setting)
    again = before_and_after(model, made, cache, setting, before=other)
    assert again.float32 == found.int8  # what is known is not measured again


def test_samples_to_calibrate_with_are_drawn_and_each_is_there_once() -> None:
    x, y = samples(180)
    subject, split = np.repeat(np.arange(6), 30), np.repeat([0, 1, 2], 60)
    source = from_arrays(x, y, subject=subject, split=split, by="subject")
    size = EpisodeSize(WAYS, 1, 5)
    found = calibration_samples(source, size)
    part = {sample.tobytes() for sample in x[:60]}
    assert {sample.tobytes() for sample in found} <= part  # of the training part
    assert 50 < len({sample.tobytes() for sample in found}) == len(found) <= 60
    assert np.array_equal(found, calibration_samples(source, size))


def test_a_sample_that_is_there_twice_changes_no_range() -> None:
    x, _ = samples(9)
    graphs = []
    for calibration in (x, np.concatenate([x[5:], x])):
        made = quantize_front(network(), ["9.weight", "9.bias"], calibration)
        (graph,) = (m.graph for m in made.modules() if isinstance(m, OnnxModule))
        graphs.append(ir.to_proto(graph.lowered).SerializeToString(deterministic=True))
    assert graphs[0] == graphs[1]


def test_nothing_frozen_is_refused(tmp_path: Path) -> None:
    x, _ = samples(9)
    with pytest.raises(InputError, match=r"quantizes what is frozen.*nothing is"):
        export_bundle(network(), tmp_path / "bundle", x, inner_lr=0.1, inner_steps=1, int8=x)
    with pytest.raises(InputError, match="int8 needs samples to calibrate with"):
        quantize_front(network(), ["9.weight"], np.zeros(3, np.float32))
