"""One trace for step, last loss and prediction, where the three are parts of one function."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from edgemeta.bundle import LOGITS, QUERY_X, SUPPORT_X, SUPPORT_Y
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta_export import lowered_loop
from edgemeta_export.loop_functions import LOSS
from edgemeta_export.lowered_loop import lower_inner_loop
from edgemeta_export.trace import trace

X, Y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def network(*, training: bool) -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(8).train(training)
    made = nn.Sequential(nn.Linear(4, 8), norm, nn.ReLU(), nn.Linear(8, 3))
    return made


@pytest.mark.parametrize(("training", "traces"), [(False, 1), (True, 3)])
@pytest.mark.parametrize("chunk", [None, 2])
def test_a_network_is_traced_once_unless_the_state_has_statistics(
    monkeypatch: pytest.MonkeyPatch, training: bool, traces: int, chunk: int | None
) -> None:
    count = 0

    def counting(*args: Any, **settings: Any) -> Any:
        nonlocal count
        count += 1
        return trace(*args, **settings)

    monkeypatch.setattr(lowered_loop, "trace", counting)
    model = network(training=training)
    loop = InnerLoop(model, LOSSES["classification"])
    made = lower_inner_loop(loop, 3, 0.1, X, Y, chunk=chunk)
    assert count == traces + (2 if chunk else 0)  # slices have two functions more
    asked = {value.name for value in made.predict.graph.inputs}
    assert QUERY_X in asked
    assert not asked & {SUPPORT_X, SUPPORT_Y}
    assert [value.name for value in made.predict.graph.outputs] == [LOGITS]
    assert [value.name for value in made.finish.graph.outputs][-1] == LOSS
    ops = {node.op_type for node in made.predict.graph}
    assert "Gather" not in ops  # nothing of the loss is left
