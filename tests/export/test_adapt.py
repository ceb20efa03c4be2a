"""What is adapted is a choice: the rest is computed once, and its backward pass is never built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgemeta import Runner, UnsupportedModelError
from edgemeta.bundle import ADAPT
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.low_rank import LOW_RANK, add_low_rank
from edgemeta_export import export_bundle
from tests.cases import CASE
from tests.conftest import Exported
from tests.tolerance import assert_most, excess, numpy_state

CONV4 = CASE["conv4-group-stride"]
HEAD = ("head.*",)
LAST = ("blocks.3.*", "head.*")
CHOICES: dict[str, tuple[tuple[str, ...], int]] = {
    "head": (HEAD, 0),
    "body": (("*", "!head.*"), 0),
    "norms and biases": (("blocks.?.1.*", "*.bias"), 0),
    "last block": (LAST, 0),
    "low rank": (LOW_RANK, 2),
}
"""What adapts, and the rank of adapters."""
CONVOLUTIONS = {"Conv", "ConvTranspose"}
PRODUCTS = {"Gemm", "MatMul"}


Export = Callable[..., tuple[Runner, InnerLoop]]


@pytest.fixture
def export(exported: Exported) -> Export:
    """Return a function that gives conv4's bundle, and the same inner loop in PyTorch."""

    def model(rank: int) -> nn.Module:
        return add_low_rank(CONV4.model(), rank=rank) if rank else CONV4.model()

    def once(name: str, adapt: tuple[str, ...], rank: int = 0) -> tuple[Runner, InnerLoop]:
        def make(path: Path) -> None:
            x, y = CONV4.samples(5, seed=0)
            export_bundle(
                model(rank), path, x, inner_lr=0.1, inner_steps=2, adapt=adapt, example_y=y
            )

        path = exported(f"adapt-{name}", make)
        return Runner(path, threads=1), InnerLoop(model(rank), LOSSES["classification"], adapt)

    return once


def count(path: Path, ops: set[str]) -> tuple[int, int]:
    """Return how many nodes of some kinds adapt.onnx has inside its Loop and outside."""
    model = ir.from_proto(onnx.load(path / ADAPT, load_external_data=False))
    (loop,) = (node for node in model.graph if node.op_type == "Loop")
    inside = sum(node.op_type in ops for node in loop.attributes["body"].as_graph())
    return inside, sum(node.op_type in ops for node in model.graph)


@pytest.mark.parametrize("name", CHOICES)
def test_parity_of_each_choice(export: Export, name: str) -> None:
    runner, loop = export(name, *CHOICES[name])
    state = loop.init()
    assert [tensor.name for tensor in runner.manifest.state] == [*state.params]
    assert runner.manifest.adapted_parameters == sum(p.numel() for p in state.params.values())
    found = []
    for seed in range(3):
        x, y = CONV4.samples(5, seed)
        got = runner.adapt(x, y, steps=3).state_dict()
        want = loop.adapt(
            state.as_leaves(), torch.from_numpy(x), torch.from_numpy(y), steps=3, lr=0.1
        )
        found.append(excess(got, numpy_state(want)))
    assert_most(found)


def test_a_frozen_body_runs_once_and_has_no_backward(export: Export) -> None:
    """Four convolutions in front of the Loop, shared with the last look at the support set."""
    head, _ = export("head", HEAD)
    assert count(head.path, CONVOLUTIONS) == (0, 4)


def test_the_backward_stops_at_the_lowest_adapted_layer(export: Export) -> None:
    last, _ = export("last block", LAST)
    every, _ = export("every", ("*",))
    # Three frozen blocks in front, with constant weights.
    assert count(last.path, CONVOLUTIONS) == (0, 3)
    # In the Loop: forward, and gradients of weight, bias, and input; but none to the block's own
    # input. The gradients of a norm's weight and bias are products as well. Outside of the Loop one
    # more forward, and a product that counts the samples of each class.
    assert count(last.path, PRODUCTS) == (4 + 3 + 2, 2 + 1)
    assert count(every.path, PRODUCTS) == (4 + 3 + 3 * 4 + 4 * 2, 5 + 1)
    assert last.manifest.flops_per_step < every.manifest.flops_per_step / 3


def test_low_rank_adapters_change_nothing_at_first(tmp_path: Path) -> None:
    plain = CONV4.model()
    adapted = add_low_rank(CONV4.model(), rank=2)
    x = torch.from_numpy(CONV4.samples(3, seed=0)[0])
    assert torch.equal(plain(x), adapted(x))
    names = [name for name, _ in adapted.named_parameters() if name.endswith(".left")]
    assert len(names) == 5  # four convolutions and the head
    with pytest.raises(InputError, match="rank is too small"):
        add_low_rank(CONV4.model(), rank=0)
    with pytest.raises(UnsupportedModelError, match="no layer for a low-rank adapter"):
        add_low_rank(CONV4.model(), ("*.nowhere",))


@pytest.mark.parametrize(
    ("adapt", "message"),
    [
        (("tail.*",), r"'tail\.\*' matches no parameter"),
        (("*", "!tail.*"), r"'!tail\.\*' matches no parameter"),
        (("head.*", "!head.*"), "nothing adapts"),
    ],
)
def test_patterns_that_choose_nothing(adapt: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        InnerLoop(CONV4.model(), LOSSES["classification"], adapt)
