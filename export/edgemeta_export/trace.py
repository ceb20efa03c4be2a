"""From Python to one flat ATen graph: the inner loop's functions with their gradients in them."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functionalize
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ShapeEnv,
)
from torch.fx.traceback import preserve_node_meta
from torch.nn.attention import SDPBackend, sdpa_kernel

from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.torch_private import (
    ConstantSource,
    DataDependentOutputException,
    FakeTensorMode,
    enable_python_dispatcher,
)
from edgemeta_export.aten_passes.plain_ops import plain_ops
from edgemeta_export.decompose import changes_its_input, needed_decompositions
from edgemeta_export.layers import LabelMode
from edgemeta_export.layout import LAID_OUT, LayoutInterpreter, has_images
from edgemeta_export.plain_pooling import PlainPooling
from edgemeta_export.program import AtenProgram
from edgemeta_export.quiet import quiet

# Stand-ins for the free sizes while tracing, unlike any size that a model has of its own ...
SAMPLES, CLASSES = 1009, 1013
# ... and sizes for which what was traced must hold as well: small, odd, even, and large.
SIZES = (2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 25, 32, 100, 101, 1024, 5000)
# Where PyTorch asks for the number of samples to choose between kernels that compute the same.
CHOICE_OF_KERNEL = re.compile(r"fake_impls\.py:\d+ in conv\)$")
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
    tiles: bool = True,
    last_passes: Sequence[GraphPass] = (),
    model: nn.Module | None = None,
) -> AtenProgram:
    """Trace a function into an exported program whose batch size is free.

    `make_fx` runs the function, `torch.autograd.grad` included, so that what comes out has no
    autograd left in it; the passes over ATen graphs follow; `AtenProgram` gives it the form
    that the ONNX exporter reads.

    Args:
        function: takes `arguments`, returns a flat dict of tensors.
        arguments: tensors, or dicts of tensors, for their shapes and dtypes.
        batched: for each argument, whether axis 0 counts samples; all of these share one size,
            which is free.
        per_class: names in the dicts whose tensors' axis 0 counts classes; they share another free
            size.
        fixed: for each argument, whether it never changes on the device; all may, if empty.
        passes: edits of the ATen graph (see `edgemeta_export.aten_passes`).
        layout: lay images out as rows or strips (see `edgemeta_export.layout`).
        tiles: let the layout compute convolutions by tiles where that is faster.
        last_passes: edits of the graph that the layout leads to.
        model: what `function` runs, for the names of its layers.

    Returns:
        The program; its inputs are the flattened arguments, in order.

    Raises:
        UnsupportedModelError: the code depends on the values of its data, fixes the number of
            samples or depends on it, or does something else that cannot be traced.
    """
    never = fixed or [False] * len(arguments)
    still = [each or samples for each, samples in zip(never, batched, strict=True)]
    shape_env = ShapeEnv()
    mode = FakeTensorMode(shape_env=shape_env, allow_non_fake_inputs=True)
    samples = _free_size("samples", SAMPLES, shape_env)
    classes = _free_size("classes", CLASSES, shape_env)
    fakes = [
        _fake(argument, mode, samples if free else None, dict.fromkeys(per_class, classes))
        for argument, free in zip(arguments, batched, strict=True)
    ]
    with ExitStack() as stack:
        # The tracers and the switches below warn of their own insides, nothing a user can change.
        stack.enter_context(quiet())
        # Both have fused kernels whose backward is one opaque op; these paths decompose.
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(PlainPooling())
        try:
            # Without it, ops such as padding run their C++ code, which wants sizes as numbers.
            with enable_python_dispatcher(), preserve_node_meta():
                kept = LAID_OUT if layout else frozenset()
                graph = _traced(_labelled(function, model), fakes, kept)
                plain_ops(graph)
                if any(changes_its_input(node.target) for node in graph.graph.nodes):
                    graph = _traced(functionalize(Interpreter(graph).run), fakes, kept)
                for edit in passes:
                    edit(graph)
                if layout and has_images(graph.graph):
                    graph = _traced(
                        LayoutInterpreter(
                            graph,
                            _leaves(arguments, never),
                            _leaves(arguments, still),
                            tiles=tiles,
                        ).run,
                        fakes,
                    )
                for edit in last_passes:
                    edit(graph)
        except Exception as error:  # whatever a foreign model raises on data without values
            raise _untraceable(error) from error
    _check_free(shape_env, samples, "samples")
    _check_free(shape_env, classes, "classes")
    return AtenProgram(graph)


def _traced(
    function: Callable[..., Any], fakes: Sequence[Any], kept: frozenset[Any] = frozenset()
) -> GraphModule:
    """Record a function as ATen ops; those in `kept` stay whole."""
    table = {op: how for op, how in needed_decompositions().items() if op not in kept}
    return make_fx(function, table, tracing_mode="fake")(*fakes)


def _labelled(function: Callable[..., Any], model: nn.Module | None) -> Callable[..., Any]:
    """Let a function tell the tracer which layer runs each op."""
    if model is None:
        return function

    def labelled(*arguments: Any) -> Any:
        with LabelMode(model).watching():
            return function(*arguments)

    return labelled


def _leaves(arguments: Sequence[Argument], chosen: Sequence[bool]) -> list[bool]:
    """Repeat what holds for an argument for each of its tensors."""
    return [
        choice
        for argument, choice in zip(arguments, chosen, strict=True)
        for _ in (argument if isinstance(argument, Mapping) else (argument,))
    ]


def _free_size(name: str, example: int, shape_env: ShapeEnv) -> torch.SymInt:
    """Return a size that code may compute with, but not ask for."""
    source = ConstantSource(name)
    symbol = shape_env.create_symbol(example, source, DimDynamic.DYNAMIC)
    size = shape_env.create_symintnode(symbol, hint=example, source=source)
    assert isinstance(size, torch.SymInt)  # noqa: S101  # a number only for static sizes
    return size


def _fake(
    argument: Argument,
    mode: FakeTensorMode,
    samples: torch.SymInt | None,
    per_class: Mapping[str, torch.SymInt],
) -> Any:
    """Return a stand-in without data: static shapes, but for axis 0 where a size is given."""
    if isinstance(argument, Mapping):
        return {
            name: _fake(tensor, mode, per_class.get(name, samples), {})
            for name, tensor in argument.items()
        }
    with mode:
        shape = argument.shape if samples is None else (samples, *argument.shape[1:])
        return torch.empty(shape, dtype=argument.dtype)


def _check_free(shape_env: ShapeEnv, size: torch.SymInt, what: str) -> None:
    """Refuse code that was traced for one number of samples, or of classes, or for some only."""
    if size.node.maybe_as_int() is not None:
        place = str(shape_env.guards[0].sloc) if shape_env.guards else "an unknown place"
        raise UnsupportedModelError(
            f"the model's code fixes the number of {what}",
            got=f"{int(size)} {what}, needed as a plain number at {place}",
            hint="write x.shape[0] instead of len(x) or int(...), and -1 in reshapes",
        )
    symbol = size.node.expr
    for guard in shape_env.guards:
        if symbol not in guard.expr.free_symbols or CHOICE_OF_KERNEL.search(str(guard.sloc)):
            continue
        fails = [number for number in SIZES if not bool(guard.expr.subs(symbol, number))]
        if fails:
            condition = str(guard.expr).replace(str(symbol), what)
            raise UnsupportedModelError(
                f"the model's code depends on the number of {what}",
                got=f"{condition} at {guard.sloc}, not so for {fails[0]}",
                hint="let the same code run for any number",
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
