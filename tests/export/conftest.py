"""Exports that share their lowering, which takes four fifths of their time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import onnx_ir as ir
import pytest
from torch import Tensor

from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.updates import Rates
from edgemeta_export import bundle_export
from edgemeta_export.lowered_loop import LOWERINGS, LoweredLoop, SlicedStep, lower_inner_loop


@pytest.fixture(scope="module")
def lowered_once() -> Iterator[list[object]]:
    """Lower once, within a module, what exports have in common.

    All that follows the lowering (passes, unrolling, opsets, the comparison with PyTorch) is done
    for each export, on a copy. Only what is equal shares: the model with its weights, the example,
    and what the form says before lowering. Returns what was lowered, a key for each.
    """
    known: dict[tuple[object, ...], LoweredLoop] = {}
    made: list[object] = []

    def lower(
        loop: InnerLoop,
        ways: int | None,
        lr: Rates,
        x: Tensor,
        y: Tensor,
        without: Collection[str] = (),
        chunk: int | None = None,
    ) -> LoweredLoop:
        left_out = frozenset(without) & frozenset(LOWERINGS)
        key = (
            *(type(loop.model), repr(loop.model), bits(loop.model.state_dict())),
            tuple(module.training for module in loop.model.modules()),
            *(bits(loop.init().params), loop.update, loop.loss),
            *(ways, bits(lr) if isinstance(lr, Mapping) else lr, bits({"x": x, "y": y})),
            *(left_out, chunk),
        )
        if key not in known:
            made.append(key)
            known[key] = lower_inner_loop(loop, ways, lr, x, y, left_out, chunk)
        found: LoweredLoop = copied(known[key])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_export, "lower_inner_loop", lower)
        yield made


def bits(tensors: Mapping[str, Tensor]) -> tuple[tuple[str, str, bytes], ...]:
    """Return tensors by name as what can be compared."""
    plain = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    return tuple((n, f"{a.dtype} {a.shape}", a.tobytes()) for n, a in plain.items())


def copied(lowered: Any) -> Any:
    """Return a lowered loop, or a sliced step, with graphs of its own."""
    found = {field.name: getattr(lowered, field.name) for field in fields(lowered)}
    own = {
        name: value.clone() if isinstance(value, ir.Model) else copied(value)
        for name, value in found.items()
        if isinstance(value, ir.Model | SlicedStep)
    }
    return replace(lowered, **own)
