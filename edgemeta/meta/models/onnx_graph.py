"""An ONNX graph that does not change, and how to run it on onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.meta.models.coupling import LIMIT, distance
from edgemeta.meta.models.onnx_file import (
    GraphInput,
    digest,
    free_samples,
    in_our_opset,
    inputs_of,
)
from edgemeta.meta.models.onnx_flops import graph_flops

_TORCH = {
    "tensor(float)": torch.float32,
    "tensor(double)": torch.float64,
    "tensor(float16)": torch.float16,
    "tensor(bool)": torch.bool,
    **{
        f"tensor({name})": getattr(torch, name)
        for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}


GRAPHS: WeakValueDictionary[str, OnnxGraph] = WeakValueDictionary()
"""Graphs of living modules by their key, which is all that a traced op can carry."""


class OnnxGraph:
    """A graph that does not change, and how to run it.

    Args:
        model: see `read_model`.
        name: what errors call it.
        per_sample: see `OnnxModule`.

    Attributes:
        model: what runs here, in its own opset: where a bundle's copy in another opset computes
            something else, the check of the export sees it.
        lowered: the same in the opset of a bundle's graphs.
        inputs: what it takes.
        key: tells it from all others: a hash of its content.
    """

    def __init__(self, model: ir.Model, name: str, *, per_sample: bool) -> None:
        self.name, self.per_sample = name, per_sample
        self.model = model if per_sample else free_samples(model)
        self.inputs = inputs_of(self.model)
        self._check_samples()
        self.lowered = in_our_opset(self.model, name)
        self.key = digest(self.lowered) + ("/each" if per_sample else "")
        # Whether it remains to be seen that a batch of one could be made free.
        self._doubtful = self.model is not model
        self._session: onnxruntime.InferenceSession | None = None
        self._process = 0
        self._shapes: dict[Any, list[tuple[int, ...]]] = {}
        self._flops: dict[Any, int] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxGraph:
        return self  # it never changes

    def __getstate__(self) -> dict[str, Any]:
        protos = {name: ir.to_proto(getattr(self, name)) for name in ("model", "lowered")}
        return vars(self) | protos | {"_session": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.model, self.lowered = (ir.from_proto(state[name]) for name in ("model", "lowered"))

    def check(self, inputs: Sequence[Tensor]) -> None:
        """Refuse what the graph does not take.

        Raises:
            InputError: another number of inputs, or other shapes or dtypes.
        """
        if len(inputs) != len(self.inputs):
            raise InputError(
                f"{self.name} takes another number of inputs",
                got=len(inputs),
                expected=", ".join(map(_shown, self.inputs)),
            )
        for tensor, spec in zip(inputs, self.inputs, strict=True):
            dtype = str(tensor.dtype).removeprefix("torch.")
            if dtype != spec.dtype or not self._fits(tensor, spec):
                raise InputError(
                    f"{self.name} takes something else as {spec.name}",
                    got=f"{dtype} ({', '.join(map(str, tensor.shape))})",
                    expected=_shown(spec),
                    hint="bring it to that in the module around it",
                )

    def drops_axis(self, number: int, axes: int) -> bool:
        """Whether input `number`, given with so many axes, takes one sample without axis 0."""
        shape = self.inputs[number].shape
        return self.per_sample and axes > 0 and shape is not None and len(shape) == axes - 1

    def keeps_axis(self, axes: Sequence[int]) -> bool:
        """Whether single samples go in with an axis 0 of one, and hence come out with one.

        Args:
            axes: how many each input has.
        """
        return not any(self.drops_axis(k, n) for k, n in enumerate(axes))

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Run the graph on arrays, samples along axis 0.

        Raises:
            InputError: onnxruntime refuses them.
        """
        if self._doubtful and max(len(x) for x in inputs if x.ndim) > 1:
            self._check_freed(inputs)
        if not self.per_sample:
            return self._run(inputs)
        keep = self.keeps_axis([x.ndim for x in inputs])
        each = []
        for k in range(max(len(x) for x in inputs if x.ndim)):
            alone = [x if not x.ndim else x[k : k + 1] if keep else x[k] for x in inputs]
            made = self._run(alone)
            if keep and not all(y.ndim and len(y) == 1 for y in made):
                raise InputError(
                    f"{self.name} does not return one row for one sample",
                    got=", ".join(str(y.shape) for y in made),
                    expected="(1, ...)",
                )
            each.append([y[0] if keep else y for y in made])
        return [np.stack(parts) for parts in zip(*each, strict=True)]

    def shapes(self, sizes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return the shapes of the outputs for inputs of some shapes, found by running it."""
        key = tuple(sizes)
        if key not in self._shapes:
            zeros = [np.zeros(s, i.dtype) for s, i in zip(sizes, self.inputs, strict=True)]
            self._shapes[key] = [made.shape for made in self.run(zeros)]
        return self._shapes[key]

    def flops(self, sizes: Sequence[tuple[int, ...]]) -> int:
        """Return the operations of the products in the graph, for inputs of some shapes."""
        key = tuple(sizes)
        if key not in self._flops:
            keep = self.keeps_axis([len(size) for size in sizes])
            samples = max(size[0] for size in sizes if size) if self.per_sample else 1
            if self.per_sample:
                sizes = [(1, *size[1:]) if keep else size[1:] for size in sizes]
            zeros = {i.name: np.zeros(s, i.dtype) for s, i in zip(sizes, self.inputs, strict=True)}
            self._flops[key] = samples * graph_flops(self.model, zeros)
        return self._flops[key]

    @property
    def dtypes(self) -> list[torch.dtype]:
        """What the outputs hold."""
        kinds = [output.type for output in self.session().get_outputs()]
        return [_TORCH[kind] for kind in kinds]

    def session(self) -> onnxruntime.InferenceSession:
        """Return what runs it, made when it is first asked for in a process."""
        if self._session is None or self._process != os.getpid():
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            options.log_severity_level = 3
            content = ir.to_proto(self.model).SerializeToString()
            try:
                self._session = onnxruntime.InferenceSession(
                    content, options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:  # onnxruntime's errors share no base
                raise UnsupportedModelError(
                    f"onnxruntime does not load {self.name}", got=_first_line(error)
                ) from error
            self._process = os.getpid()
        return self._session

    def _run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        given = {spec.name: x for spec, x in zip(self.inputs, inputs, strict=True)}
        try:
            found: list[NDArray[Any]] = self.session().run(None, given)
        except UnsupportedModelError:
            raise
        except Exception as error:  # onnxruntime's errors share no base
            raise InputError(
                f"{self.name} does not run on samples of this shape",
                got=f"{', '.join(str(x.shape) for x in inputs)}: {_first_line(error)}",
                hint="a graph made for one sample runs with per_sample=True",
            ) from error
        return found

    def _check_freed(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Refuse a graph whose batch of one is written into more places than were found.

        Raises:
            UnsupportedModelError: it computes something else for a sample beside others.
        """
        try:
            apart = distance(self._run, inputs)
            reason = f"samples together come out differently by {apart:.2g} of the largest"
        except InputError as error:
            apart, reason = float("inf"), str(error.got)
        if apart > LIMIT:
            raise UnsupportedModelError(
                f"the batch of one in {self.name} cannot be made free",
                got=reason,
                hint="pass per_sample=True, or export it with a dynamic batch axis",
            )
        self._doubtful = False

    def _fits(self, tensor: Tensor, spec: GraphInput) -> bool:
        if spec.shape is None:
            return True
        sizes: list[Any] = list(tensor.shape)
        if self.per_sample and sizes:
            alone = len(spec.shape) == len(sizes) - 1
            sizes = sizes[1:] if alone else [1, *sizes[1:]]
        return len(sizes) == len(spec.shape) and all(
            wanted is None or not isinstance(size, int) or size == wanted
            for size, wanted in zip(sizes, spec.shape, strict=True)
        )

    def _check_samples(self) -> None:
        """Refuse a fixed number of samples.

        Raises:
            UnsupportedModelError: there is one.
        """
        fixed = [spec for spec in self.inputs if spec.shape and spec.shape[0] is not None]
        if fixed and not self.per_sample:
            raise UnsupportedModelError(
                f"{self.name} takes a fixed number of samples",
                got=", ".join(map(_shown, fixed)),
                expected="a free axis 0",
                hint="export it with a dynamic batch axis; pass per_sample=True for a graph of one "
                "sample, or constants= for inputs that are the same for all",
            )


def _shown(spec: GraphInput) -> str:
    if spec.shape is None:
        return f"{spec.name} {spec.dtype}"
    sizes = ", ".join("free" if size is None else str(size) for size in spec.shape)
    return f"{spec.name} {spec.dtype} ({sizes})"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
