"""From Python to one flat ATen graph: the inner loop's functions with their gradients in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    ShapeEnv,
    StatelessSymbolicContext,
)
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgemeta_export.decompose import needed_decompositions
from edgemeta_export.quiet import quiet

Argument = Mapping[str, Tensor] | Tensor


def trace(
    function: Callable[..., Any], arguments: Sequence[Argument], batched: Sequence[bool]
) -> ExportedProgram:
    """Trace a function into an exported program whose batch size is free.

    `make_fx` runs the function, `torch.autograd.grad` included, so that what comes out has no
    autograd left in it; `torch.export` then gives it the form that the ONNX exporter reads.

    Args:
        function: takes `arguments`, returns a flat dict of tensors.
        arguments: tensors, or dicts of tensors; the values serve as examples. Batched ones need
            at least two samples, since the tracers take 0 and 1 for constants.
        batched: for each argument, whether axis 0 counts samples; all of these share one size.

    Returns:
        The program; its inputs are the flattened arguments, in order.
    """
    shape_env = ShapeEnv()
    mode = FakeTensorMode(shape_env=shape_env, allow_non_fake_inputs=True)
    fakes = [_fake(a, mode, free) for a, free in zip(arguments, batched, strict=True)]
    with ExitStack() as stack:
        # The tracers and the switches below warn of their own insides, nothing a user can change.
        stack.enter_context(quiet())
        # Both have fused kernels whose backward is one opaque op; these paths decompose.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        # Without it, ops such as padding run their C++ code, which wants sizes as plain numbers.
        with enable_python_dispatcher():
            graph = make_fx(function, needed_decompositions(), tracing_mode="fake")(*fakes)
        samples = Dim("samples")
        shapes = tuple(
            _dynamic_shapes(argument, samples if free else None)
            for argument, free in zip(arguments, batched, strict=True)
        )
        return torch.export.export(_Wrapped(graph), tuple(arguments), dynamic_shapes=(shapes,))


class _Wrapped(nn.Module):
    """torch.export wants a module with a `forward` of its own.

    The graph is kept from being a submodule: constants in it, such as the indices of `x[[0, 2]]`,
    would become its buffers, which torch.onnx loses when it decomposes.
    """

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph: Callable[..., Any]
        object.__setattr__(self, "graph", graph)

    def forward(self, *arguments: Any) -> Any:
        return self.graph(*arguments)


def _fake(argument: Argument, mode: FakeTensorMode, free: bool) -> Any:
    """Return a stand-in without data: static shapes, but for axis 0 where that is free."""
    if isinstance(argument, Mapping):
        return {name: _fake(tensor, mode, free) for name, tensor in argument.items()}
    sizes = [DimDynamic.STATIC] * argument.ndim
    if free:
        sizes[0] = DimDynamic.DYNAMIC
    context: Any = StatelessSymbolicContext(dynamic_sizes=sizes)
    return mode.from_tensor(argument, symbolic_context=context)


def _dynamic_shapes(argument: Argument, samples: Dim | None) -> Any:
    if isinstance(argument, Mapping):
        return dict.fromkeys(argument)
    return None if samples is None else {0: samples}
