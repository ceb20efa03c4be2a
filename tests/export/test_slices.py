"""A support set in slices: the same adaptation in less memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from edgemeta import InputError, Runner, UnsupportedModelError
from edgemeta.bundle import ADAPT
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.inner.updates import SGD, Update
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.cost import adaptation_cost
from tests.export.passes.models import loop_body, normal, ops
from tests.tolerance import excess, numpy_state

pytestmark = pytest.mark.usefixtures("lowered_once")

WAYS, SAMPLES, CHUNK = 3, 14, 4
X, Y = normal(SAMPLES, 1, 12, 12), np.arange(SAMPLES) % WAYS


def model(head: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, WAYS) if head is None else head,
    )


def rates() -> dict[str, Tensor]:
    return {name: torch.tensor([0.02, 0.1]) for name, _ in model().named_parameters()}


def export(path: Path, **settings: Any) -> Runner:
    arguments: dict[str, Any] = {
        "inner_lr": 0.05,
        "inner_steps": 2,
        "example_y": Y,
        "form": GraphForm(CHUNK),
    } | settings
    x = arguments.pop("example_x", X)
    export_bundle(arguments.pop("model", None) or model(), path, x, **arguments)
    return Runner(path, threads=1)


@pytest.mark.parametrize(
    ("update", "lr"),
    [
        (SGD, 0.05),
        (Update("adam", clip_norm=0.1), 0.01),
        (Update(momentum=0.9, weight_decay=0.1), rates()),
    ],
    ids=["SGD", "clipped Adam", "momentum, LSLR"],
)
def test_any_number_of_slices_computes_what_pytorch_does_at_once(
    tmp_path: Path, update: Update, lr: Any
) -> None:
    runner = export(tmp_path / "bundle", update=update, inner_lr=lr)
    loop = InnerLoop(model(), LOSSES["classification"], update=update)
    for samples in (1, CHUNK, CHUNK + 1, 3 * CHUNK, SAMPLES):
        x, y = X[:samples], Y[:samples]
        learner = runner.adapt(x, y, steps=3)
        given = torch.from_numpy(x), torch.from_numpy(y)
        want = loop.adapt(loop.init(), *given, steps=3, lr=lr)
        loss = loop.finish(want, *given)[1].detach().numpy()
        got = learner.state_dict() | {"loss": learner.losses[-1]}
        assert excess(got, numpy_state(want) | {"loss": loss}) <= 1, samples


def test_a_shared_head_and_zero_steps(tmp_path: Path) -> None:
    shared = model(SharedHead(64))
    runner = export(tmp_path / "bundle", model=shared)
    loop = InnerLoop(shared, LOSSES["classification"])
    for ways in (2, 5):
        y = np.arange(SAMPLES) % ways
        given = torch.from_numpy(X), torch.from_numpy(y)
        for steps in (0, 2):
            want = loop.adapt(loop.init(), *given, steps=steps, lr=0.05)
            assert excess(runner.adapt(X, y, steps=steps).state_dict(), numpy_state(want)) <= 1


def test_a_regression(tmp_path: Path) -> None:
    targets = normal(SAMPLES, WAYS, seed=1)
    whole, sliced = (
        export(tmp_path / str(chunk), task="regression", example_y=targets, form=GraphForm(chunk))
        for chunk in (None, CHUNK)
    )
    assert np.allclose(
        whole.adapt(X, targets, steps=3).losses, sliced.adapt(X, targets, steps=3).losses, rtol=1e-5
    )


def test_memory_is_that_of_a_slice_and_operations_stay(tmp_path: Path) -> None:
    whole, sliced = (
        ir.from_proto(onnx.load(export(tmp_path / str(c), form=GraphForm(c)).path / ADAPT))
        for c in (None, CHUNK)
    )
    samples = 100 * CHUNK
    before = adaptation_cost(whole, samples)
    after = adaptation_cost(sliced, samples, chunk=CHUNK)
    inputs = samples * X[0].nbytes
    assert after.peak_memory_bytes - inputs < 0.05 * (before.peak_memory_bytes - inputs)
    assert 1 <= after.flops_per_step / before.flops_per_step < 1.3


def test_what_all_slices_share_is_prepared_once_a_step(tmp_path: Path) -> None:
    kept, hoisted = (
        ir.from_proto(onnx.load(export(tmp_path / str(k), form=form).path / ADAPT))
        for k, form in enumerate((GraphForm(CHUNK, without=("hoist",)), GraphForm(CHUNK)))
    )
    counts = [ops(loop_body(_step(graph))).total() for graph in (kept, hoisted)]
    assert counts[0] > counts[1]


def _step(model: ir.Model) -> ir.Model:
    """Return the body of the inner loop as a model."""
    (step,) = (node for node in model.graph if node.name == "inner_loop")
    return ir.Model(step.attributes["body"].as_graph(), ir_version=10)


def _sum(output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, y, reduction="sum")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"loss": _sum}, UnsupportedModelError, "slices of the support set .* leave `chunk` out"),
        (
            {"model": nn.Sequential(nn.Flatten(), nn.BatchNorm1d(144), nn.Linear(144, WAYS))},
            UnsupportedModelError,
            "other statistics: got norms over samples: 1; leave `chunk` out",
        ),
    ],
    ids=["sum", "batch norm"],
)
def test_what_slices_would_change_is_refused(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export(tmp_path / "bundle", **settings)
    assert not list(tmp_path.iterdir())


def test_one_example_is_too_few_to_check_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs examples to check it with: got 1"):
        export(tmp_path / "bundle", example_x=X[:1], example_y=None)
