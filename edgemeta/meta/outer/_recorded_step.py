"""A computation as one flat list of ops: no autograd and no Python between two of them.

What a chunk of tasks asks for, gradient included, is recorded once, op by op as autograd and vmap
call them, and from then on run by TorchScript's interpreter. The results are the same bits; but the
interpreter takes microseconds where Python, autograd and vmap take ten times as many, and it does
not hold Python's lock, so that threads do not wait for each other. `torch.jit.trace` would not do:
it is deprecated, and knows no op that takes a list of booleans, as a convolution's gradient does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from edgemeta.errors import EdgemetaError

# TorchScript's names are asked for where they are used: without them nothing is recorded.
from edgemeta.meta import torch_private
from edgemeta.meta.torch_private import TorchDispatchMode, schema_of, tree_leaves

# How TorchScript numbers what it has no constants for (c10/core/MemoryFormat.h).
MEMORY_FORMATS = {
    torch.contiguous_format: 0,
    torch.preserve_format: 1,
    torch.channels_last: 2,
    torch.channels_last_3d: 3,
}
GPU_ROUNDING = 1e-4  # some of its kernels add up in whatever order their threads come
_CONSTANTS = (torch.ops.aten.lift_fresh.default, torch.ops.aten.lift_fresh_copy.default)

Function = Callable[..., tuple[Tensor, ...]]


def record_ops(function: Function, example: Sequence[Tensor], reads: Iterable[Tensor]) -> Function:
    """Record a function of tensors as a flat list of ops.

    Args:
        function: of tensors, to a tuple of tensors.
        example: arguments; later calls have to bring the same shapes and dtypes. Branches are taken
            as they were for the example.
        reads: what the function reads beside its arguments, such as parameters: read anew in each
            call.

    Returns:
        A function that gives the same bits. Its results have no gradients.

    Raises:
        EdgemetaError: the function reads another tensor, or does not repeat itself.
    """
    inputs = tuple(reads)
    recorder = _Recorder([*example, *inputs])
    with recorder:
        results = function(*example)
    run = recorder.finish(results)

    def recorded(*tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad(), _as_it_is():
            found: tuple[Tensor, ...] = run(*tensors, *inputs)
        return found

    found = recorded(*example)
    on_cpu = all(tensor.device.type == "cpu" for tensor in example)
    if not agree(results, found, 0.0 if on_cpu else GPU_ROUNDING):
        raise EdgemetaError("the record of a step computes something else than the step")
    return recorded


def agree(results: Sequence[Tensor], found: Sequence[Tensor], rounding: float = 0.0) -> bool:
    """Whether two computations came to the same.

    Args:
        results: of the one.
        found: of the other, of the same shapes.
        rounding: how far they may be apart, relative to the largest number of all. A gradient may
            be zero but for rounding, as that of a bias before a norm, and then is nothing alike.
    """
    pairs = list(zip(results, found, strict=True))
    if not rounding:
        return all(torch.equal(one, other) for one, other in pairs)
    largest = max(float(one.abs().max()) for one in results)
    return all(float((one - other).abs().max()) <= rounding * largest for one, other in pairs)


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Let TorchScript run graphs as they are, in this thread.

    It would rewrite them first, which gains nothing here, and may take minutes for a thousand ops.
    """
    before = torch_private.get_graph_executor_optimize()
    torch_private.set_graph_executor_optimize(False)
    try:
        yield
    finally:
        torch_private.set_graph_executor_optimize(before)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets ops through, and writes each into a TorchScript graph."""

    def __init__(self, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph: Any = torch_private.Graph()
        self._values: Any = WeakTensorKeyDictionary()  # of tensors that live
        for tensor in inputs:
            self._values[tensor] = self._graph.addInput()

    def finish(self, results: Sequence[Tensor]) -> Function:
        """Return the graph as a function of the inputs."""
        kind = torch_private.TupleType([torch_private.TensorType.get()] * len(results))
        values = [self._values[tensor] for tensor in results]
        self._graph.registerOutput(self._add("prim::TupleConstruct", values, [kind])[0])
        self._graph.lint()
        function: Function = torch_private.create_function_from_graph("step", self._graph)
        return function

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        schema = schema_of(func)
        given = dict(zip((a.name for a in schema.arguments), args, strict=False)) | kwargs
        if func in _CONSTANTS and args[0] not in self._values:
            self._values[args[0]] = self._graph.insertConstant(args[0].detach().clone())
        # Before the call, which may change arguments in place.
        inputs = [self._value(given.get(a.name, a.default_value), a.type) for a in schema.arguments]
        results = func(*args, **kwargs)
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves(results)):
            return results  # a number for Python, whose branch on it is what the record has
        made = self._add(schema.name, inputs, [result.type for result in schema.returns])
        each = results if len(made) > 1 else [results]
        for value, result in zip(made, each, strict=True):
            self._name(value, result)
        return results

    def _name(self, value: Any, result: Any) -> None:
        """Remember which value an op's result is."""
        if isinstance(result, Tensor):
            self._values[result] = value
        elif isinstance(result, list | tuple):
            kinds = [torch_private.TensorType.get()] * len(result)
            items = self._add("prim::ListUnpack", [value], kinds)
            for item, tensor in zip(items, result, strict=True):
                self._values[tensor] = item

    def _value(self, given: Any, kind: Any) -> Any:
        """Return an argument as a value of the type that an op's schema asks for."""
        if isinstance(given, Tensor):
            if given not in self._values:
                raise EdgemetaError(f"a tensor {tuple(given.shape)} came from outside the record")
            return self._values[given]
        if isinstance(kind, torch_private.OptionalType):
            if given is None:
                return self._graph.insertConstant(None)
            kind = kind.getElementType()
        if isinstance(kind, torch_private.ListType):
            items = given if isinstance(given, list | tuple) else [given]
            values = [self._value(item, kind.getElementType()) for item in items]
            return self._add("prim::ListConstruct", values, [kind])[0]
        if isinstance(given, torch.memory_format):
            given = MEMORY_FORMATS[given]
        if isinstance(kind, torch_private.FloatType):
            given = float(given)
        return self._graph.insertConstant(given)

    def _add(self, name: str, inputs: list[Any], kinds: list[Any]) -> list[Any]:
        """Add an op; return the values that it makes."""
        node = self._graph.insertNode(self._graph.create(name, inputs, len(kinds)))
        outputs = list(node.outputs())
        for output, kind in zip(outputs, kinds, strict=True):
            output.setType(kind)
        return outputs
