"""Each optimization may be left out: the bundle is slower or larger, and computes the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgemeta import Runner
from edgemeta.bundle import ADAPT, INIT, PREDICT
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.form import OPTIMIZATIONS
from edgemeta_export.lowered_loop import LOWERINGS
from edgemeta_export.passes import PASSES
from tests.export.passes.models import normal

WAYS, SAMPLES, STEPS = 3, 6, 2


class Spotter(nn.Module):
    """Convolutions of each kind, pooling with a pixel left over, norm, attention, recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 6, 1))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.recurrent = nn.GRU(6, 5, batch_first=True)
        self.head = nn.Linear(5, WAYS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, 9, 8) -> (N, WAYS)."""
        image = self.depthwise(self.second(self.first(x)))  # (N, 6, 4, 4)
        pixels = image.flatten(2).transpose(1, 2)
        mixed, _ = self.attention(pixels, pixels, pixels, need_weights=False)
        hidden, _ = self.recurrent(mixed)
        output: Tensor = self.head(hidden[:, -1])
        return output


SUPPORT = normal(SAMPLES, 1, 9, 8), np.arange(SAMPLES) % WAYS


@pytest.fixture(scope="module")
def model(lowered_once: list[object]) -> nn.Module:
    torch.manual_seed(0)
    return Spotter()


@pytest.fixture(scope="module")
def whole(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return export(model, tmp_path_factory.mktemp("whole") / "bundle")


def export(model: nn.Module, path: Path, *without: str) -> Runner:
    x, y = SUPPORT
    form = GraphForm(without=without)
    export_bundle(model, path, x, inner_lr=0.05, inner_steps=STEPS, example_y=y, form=form)
    return Runner(path, threads=1)


def nodes(runner: Runner) -> Counter[str]:
    """Count the nodes of adapt.onnx that run: those of the Loop once for each step."""
    graph = onnx.load(runner.path / ADAPT, load_external_data=False).graph
    (loop,) = (node for node in graph.node if node.op_type == "Loop")
    counts = Counter(node.op_type for node in graph.node)
    for node in loop.attribute[0].g.node:
        counts[node.op_type] += STEPS
    return counts


def agree(left: Runner, right: Runner) -> bool:
    found = [runner.adapt(*SUPPORT, steps=STEPS).state_dict() for runner in (left, right)]
    return all(
        np.allclose(found[0][name], found[1][name], rtol=1e-4, atol=1e-5) for name in found[0]
    )


@pytest.mark.parametrize(
    "name",
    [
        *sorted(PASSES),
        *(pytest.param(name, marks=pytest.mark.slow) for name in LOWERINGS if name != "tiles"),
    ],
)  # see test_winograd for "tiles"; the others are lowered anew, which takes its time
def test_without_one_the_bundle_computes_the_same_with_more(
    name: str, model: nn.Module, whole: Runner, tmp_path: Path
) -> None:
    """Exporting compares with PyTorch already; this compares the two bundles, and what runs."""
    plain = export(model, tmp_path / "bundle", name)
    assert agree(plain, whole)
    before, after = nodes(plain), nodes(whole)
    if name == "layout":
        assert before["Conv"] + before["ConvTranspose"] > after["Conv"] + after["ConvTranspose"]
    elif name == "bias_sums":
        assert before["ReduceSum"] > after["ReduceSum"]
    elif name == "sink_relu":
        # As many nodes, of a quarter of the size.
        costs = [runner.manifest.flops_per_step for runner in (plain, whole)]
        assert costs[0] > costs[1]
    elif name == "deduplicate":
        sizes = [(runner.path / ADAPT).stat().st_size for runner in (plain, whole)]
        assert sizes[0] > sizes[1]
    else:
        assert before.total() > after.total(), (before - after, after - before)


def test_what_precedes_the_passes_is_done_once(
    model: nn.Module, whole: Runner, lowered_once: list[object], tmp_path: Path
) -> None:
    """Otherwise this file takes a minute more; and an export may not change what others take."""
    before = len(lowered_once)
    again = export(model, tmp_path / "bundle")
    assert len(lowered_once) == before
    for name in (ADAPT, PREDICT, INIT):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes()


@pytest.mark.slow
def test_without_any_the_bundle_computes_the_same(
    model: nn.Module, whole: Runner, tmp_path: Path
) -> None:
    plain = export(model, tmp_path / "bundle", *OPTIMIZATIONS)
    assert agree(plain, whole)
    assert nodes(plain).total() > 2 * nodes(whole).total()
