"""From Python to one flat ATen graph: the inner loop's functions with their gradients in them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
    StatelessSymbolicContext,
)
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgemeta.errors import UnsupportedModelError
from edgemeta_export.decompose import needed_decompositions
from edgemeta_export.layout import LAID_OUT, LayoutInterpreter
from edgemeta_export.quiet import quiet

Argument = Mapping[str, Tensor] | Tensor
GraphPass = Callable[[GraphModule], None]


def trace(
    function: Callable[..., Any],
    arguments: Sequence[Argument],
    batched: Sequence[bool],
    *,
    per_class: Collection[str] = (),
    fixed: Sequence[bool] = (),
    passes: Sequence[GraphPass] = (),
    layout: bool = True,
) -> ExportedProgram:
    """Trace a function into an exported program whose batch size is free.

    `make_fx` runs the function, `torch.autograd.grad` included, so that what comes out has no
    autograd left in it; the passes over ATen graphs follow; `torch.export` then gives it the form
    that the ONNX exporter reads.

    Args:
        function: takes `arguments`, returns a flat dict of tensors.
        arguments: tensors, or dicts of tensors; the values serve as examples. Batched ones need
            at least two samples, since the tracers take 0 and 1 for constants.
        batched: for each argument, whether axis 0 counts samples; all of these share one size.
        per_class: names in the dicts whose tensors' axis 0 counts classes; they share another free
            size. They need at least two rows as well.
        fixed: for each argument, whether it never changes on the device; all may, if empty.
        passes: edits of the ATen graph (see `edgemeta_export.aten_passes`).
        layout: lay images out as rows or strips (see `edgemeta_export.layout`).

    Returns:
        The program; its inputs are the flattened arguments, in order.

    Raises:
        UnsupportedModelError: the code depends on the values of its data, fixes the number of
            samples, or does something else that cannot be traced.
    """
    shape_env = ShapeEnv()
    mode = FakeTensorMode(shape_env=shape_env, allow_non_fake_inputs=True)
    fakes = [_fake(a, mode, free, per_class) for a, free in zip(arguments, batched, strict=True)]
    with ExitStack() as stack:
        # The tracers and the switches below warn of their own insides, nothing a user can change.
        stack.enter_context(quiet())
        # Both have fused kernels whose backward is one opaque op; these paths decompose.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        try:
            # Without it, ops such as padding run their C++ code, which wants sizes as numbers.
            with enable_python_dispatcher():
                graph = _traced(function, fakes, LAID_OUT if layout else frozenset())
                for edit in passes:
                    edit(graph)
                if layout:
                    graph = _traced(
                        LayoutInterpreter(
                            graph, _leaves(arguments, fixed or [False] * len(arguments))
                        ).run,
                        fakes,
                    )
        except Exception as error:  # whatever a foreign model raises on data without values
            raise _untraceable(error) from error
        free_fakes = [fake for fake, free in zip(fakes, batched, strict=True) if free]
        _check_free(shape_env, free_fakes, "samples")
        dicts = [fake for fake in fakes if isinstance(fake, Mapping)]
        _check_free(shape_env, [d[n] for d in dicts for n in d if n in per_class], "classes")
        samples, ways = Dim("samples"), Dim("ways")
        shapes = tuple(
            _dynamic_shapes(argument, samples if free else None, dict.fromkeys(per_class, ways))
            for argument, free in zip(arguments, batched, strict=True)
        )
        try:
            return torch.export.export(_Wrapped(graph), tuple(arguments), dynamic_shapes=(shapes,))
        except Exception as error:
            raise _untraceable(error) from error


def _traced(
    function: Callable[..., Any], fakes: Sequence[Any], kept: frozenset[Any] = frozenset()
) -> GraphModule:
    """Record a function as ATen ops; those in `kept` stay whole."""
    table = {op: how for op, how in needed_decompositions().items() if op not in kept}
    return make_fx(function, table, tracing_mode="fake")(*fakes)


def _leaves(arguments: Sequence[Argument], chosen: Sequence[bool]) -> list[bool]:
    """Repeat what holds for an argument for each of its tensors."""
    return [
        choice
        for argument, choice in zip(arguments, chosen, strict=True)
        for _ in (argument if isinstance(argument, Mapping) else (argument,))
    ]


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


def _fake(
    argument: Argument, mode: FakeTensorMode, free: bool, per_class: Collection[str] = ()
) -> Any:
    """Return a stand-in without data: static shapes, but for axis 0 where that is free."""
    if isinstance(argument, Mapping):
        return {n: _fake(tensor, mode, free or n in per_class) for n, tensor in argument.items()}
    sizes = [DimDynamic.STATIC] * argument.ndim
    if free:
        sizes[0] = DimDynamic.DYNAMIC
    context: Any = StatelessSymbolicContext(dynamic_sizes=sizes)
    return mode.from_tensor(argument, symbolic_context=context)


def _dynamic_shapes(argument: Argument, samples: Dim | None, per_class: Mapping[str, Dim]) -> Any:
    if isinstance(argument, Mapping):
        return {name: {0: per_class[name]} if name in per_class else None for name in argument}
    return None if samples is None else {0: samples}


def _check_free(shape_env: ShapeEnv, batched: Sequence[Tensor], what: str) -> None:
    """Refuse code that was traced for one number of samples, or of classes, only."""
    for tensor in batched:
        size: Any = tensor.shape[0]
        if isinstance(size, int) or size.node.maybe_as_int() is not None:
            place = str(shape_env.guards[0].sloc) if shape_env.guards else "an unknown place"
            raise UnsupportedModelError(
                f"the model's code fixes the number of {what}",
                got=f"{int(size)} {what}, needed as a plain number at {place}",
                hint="write x.shape[0] instead of len(x) or int(...), and -1 in reshapes",
            )


def _untraceable(error: Exception) -> UnsupportedModelError:
    place = _place(error)
    if isinstance(error, DataDependentOutputException | GuardOnDataDependentSymNode):
        return UnsupportedModelError(
            "the model's Python code depends on the values of its data",
            got=f"{place} ({_first_line(error)})",
            hint="use torch.where instead of if, and no .item(), .tolist() or int() of a tensor",
        )
    return UnsupportedModelError(
        "the model cannot be traced",
        got=f"{type(error).__name__} at {place}: {_first_line(error)}",
        hint="write it with torch's functions on tensors alone",
    )


def _place(error: Exception) -> str:
    """Return the last line of code on the way to an error that is neither torch's nor ours."""
    own = (str(Path(torch.__file__).parent), str(Path(__file__).parent))
    frames = traceback.extract_tb(error.__traceback__)
    foreign = [
        f for f in frames if not f.filename.startswith(own) and "/edgemeta/" not in f.filename
    ]
    if not foreign:
        return "an unknown place"
    return f"{Path(foreign[-1].filename).name}:{foreign[-1].lineno}, {foreign[-1].line}"


def _first_line(error: Exception) -> str:
    lines = (str(error).strip() or type(error).__name__).splitlines()
    # "Constraints violated" says in its second line which.
    return " ".join(lines[: 2 if "Constraints violated" in lines[0] else 1])
