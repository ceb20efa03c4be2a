"""Somebody's ONNX file, read, checked, and brought to one form: what a bundle can take in.

What comes out has no functions, no constants as nodes, and only what stock onnxruntime runs without
state.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import inliner, version_converter
from onnx_ir.passes import Sequential
from onnx_ir.passes import common as passes

from edgemeta.errors import InputError, UnsupportedModelError

OPSET = 20
"""What the compiler writes the graphs of a bundle in."""

DTYPES = frozenset(
    {
        *("FLOAT", "DOUBLE", "FLOAT16", "BOOL"),
        *("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
    }
)
RANDOM = frozenset(
    {
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    }
)
SEQUENCES = frozenset(
    {
        *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty"),
        *("SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence"),
        *("Optional", "OptionalGetElement", "OptionalHasElement"),
    }
)
STRINGS = frozenset({"StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch"})
SAMPLES = "samples"
"""The free axis of what the graph takes."""


@dataclass(frozen=True)
class GraphInput:
    """An input of an ONNX graph.

    Attributes:
        name: as the file spells it.
        dtype: numpy's name of it.
        shape: an int where a size is fixed, None where it is free; None in all where the file does
            not say how many axes there are.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


def read_model(
    file: str | os.PathLike[str] | onnx.ModelProto, outputs: Sequence[str] | None = None
) -> ir.Model:
    """Read an ONNX file and bring it to the form that a bundle takes.

    Args:
        file: the path, with its external data beside it, or a model in memory.
        outputs: names of the values to return: the file's outputs, or any inside, such as the
            features in front of a classifier; None for the file's outputs.

    Returns:
        The model, in its own opset, without what only other outputs need.

    Raises:
        InputError: it cannot be read, or has no such values.
        UnsupportedModelError: it has what a bundle cannot take; the text names all of that.
    """
    name = file if isinstance(file, str | os.PathLike) else "the model"
    proto = _load(file)
    if reasons := list(_reasons(proto)):
        raise UnsupportedModelError(
            f"{name} cannot be taken into a bundle",
            got="; ".join(reasons),
            hint="export it again without them, or cut the graph in front of them with outputs=",
        )
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    proto = _with_types(proto)
    model = ir.from_proto(proto)
    if outputs is not None:
        _cut(model, outputs, str(name))
    return _tidy(model)


def digest(model: ir.Model) -> str:
    """Return the sha256 of what a model computes: of its bytes, weights included."""
    content: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()


def inputs_of(model: ir.Model) -> tuple[GraphInput, ...]:
    """Return what a graph takes."""
    found = []
    for value in model.graph.inputs:
        assert value.dtype is not None  # noqa: S101  # an input of a file has a type
        shape = None
        if value.shape is not None:
            shape = tuple(n if isinstance(n, int) else None for n in value.shape)
        found.append(GraphInput(str(value.name), str(np.dtype(value.dtype.numpy())), shape))
    return tuple(found)


def bind(model: ir.Model, constants: Mapping[str, Any], name: str) -> None:
    """Make inputs constants, in place.

    Raises:
        InputError: there is no such input, or it takes something else.
    """
    inputs = {str(value.name): value for value in model.graph.inputs}
    for key, given in constants.items():
        value = inputs.get(key)
        if value is None:
            raise InputError(
                f"{name} has no such input", got=key, expected=" or ".join(inputs) or "none"
            )
        assert value.dtype is not None  # noqa: S101  # an input of a file has a type
        array = np.asarray(given).astype(value.dtype.numpy(), casting="same_kind")
        if value.shape is not None and not _fits(array.shape, value.shape):
            raise InputError(
                f"{name} takes something else as {key}",
                got=array.shape,
                expected=f"({', '.join(map(str, value.shape))})",
            )
        value.const_value, value.shape = ir.tensor(array, name=key), ir.Shape(array.shape)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)


def _fits(sizes: Sequence[int], shape: ir.Shape) -> bool:
    return len(sizes) == len(shape) and all(
        size == wanted or not isinstance(wanted, int)
        for size, wanted in zip(sizes, shape, strict=True)
    )


def _load(file: str | os.PathLike[str] | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(file, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(file)
        return copy
    path = Path(file)
    if not path.is_file():
        raise InputError("no such ONNX file", got=path, hint="check the path")
    try:
        proto = onnx.load(path)
    except Exception as error:  # protobuf's errors and onnx's own share no base
        raise InputError(
            f"{path} cannot be read as ONNX",
            got=f"{type(error).__name__}: {error}",
            expected="an .onnx file, its external data beside it",
        ) from error
    if not proto.graph.node:
        raise InputError(f"{path} holds no ONNX graph", got="no nodes")
    return proto


def _reasons(proto: onnx.ModelProto) -> Iterator[str]:
    """Yield what stands in the way of taking a model into a bundle."""
    local = {(f.domain, f.name) for f in proto.functions}
    inside = [node for f in proto.functions for node in f.node]
    found: dict[str, set[str]] = {}

    def note(why: str, what: str) -> None:
        found.setdefault(why, set()).add(what)

    for node in (*_nodes(proto.graph), *inside):
        if node.domain not in ("", "ai.onnx"):
            if (node.domain, node.op_type) not in local:
                note("ops of other domains", f"{node.domain}.{node.op_type}")
        elif node.op_type in RANDOM:
            note("ops that draw at random", node.op_type)
        elif node.op_type in SEQUENCES:
            note("sequences and optional values", node.op_type)
        elif node.op_type in STRINGS:
            note("strings", node.op_type)
    for value in (*proto.graph.input, *proto.graph.output):
        if not value.type.HasField("tensor_type"):
            note("inputs or outputs that are no tensors", value.name)
        elif (kind := _kind(value.type.tensor_type.elem_type)) not in DTYPES:
            note("numbers that a bundle cannot hold", f"{value.name} ({kind.lower()})")
    for tensor in _tensors(proto):
        if (kind := _kind(tensor.data_type)) not in DTYPES:
            note("numbers that a bundle cannot hold", f"{tensor.name or 'a constant'} ({kind})")
    if proto.graph.sparse_initializer:
        note("sparse tensors", ", ".join(t.values.name for t in proto.graph.sparse_initializer))
    for why, what in found.items():
        yield f"{why}: {', '.join(sorted(what))}"


def _kind(data_type: int) -> str:
    return str(onnx.TensorProto.DataType.Name(data_type))


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from proto.graph.initializer
    for node in _nodes(proto.graph):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.g.initializer


def _with_types(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Note the type of every value, as far as they can be inferred: what is cut needs one."""
    # Notes of the maker may be stale, and hold the number of samples it was exported with.
    del proto.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(proto, data_prop=True)


def _cut(model: ir.Model, outputs: Sequence[str], name: str) -> None:
    """Make other values of the outer graph the outputs."""
    graph = model.graph
    known = {v.name: v for node in graph for v in node.outputs if v.name}
    if missing := [output for output in outputs if output not in known]:
        shown = ", ".join(str(v.name) for v in graph.outputs)
        raise InputError(
            f"{name} has no such values",
            got=", ".join(missing),
            expected=f"names of values in its graph, such as its outputs {shown}",
            hint="a viewer such as Netron shows them",
        )
    graph.outputs[:] = [known[output] for output in outputs]


def _tidy(model: ir.Model) -> ir.Model:
    """Drop what no output needs; make constants of all initializers and of constant nodes."""
    graph = model.graph
    # Before IR version 4 every initializer had to be an input as well.
    for value in [v for v in graph.inputs if v.is_initializer()]:
        graph.inputs.remove(value)
    Sequential(
        passes.RemoveUnusedNodesPass(),
        passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        passes.LiftSubgraphInitializersToMainGraphPass(),
        passes.ClearMetadataAndDocStringPass(),
        passes.NameFixPass(),
    )(model)
    read = {v for node in graph.all_nodes() for v in node.inputs} | set(graph.outputs)
    for value in [v for v in graph.inputs if v not in read]:
        graph.inputs.remove(value)
    # Domains that are named and not used, as converters leave them.
    for domain in [d for d in model.opset_imports if d not in ("", "ai.onnx")]:
        del model.opset_imports[domain]
    return model


def in_our_opset(model: ir.Model, name: str) -> ir.Model:
    """Return the model in the opset of a bundle's graphs; it stays as it is.

    Raises:
        UnsupportedModelError: onnx's converter does not get there.
    """
    version = _opset(model)
    if version == OPSET:
        return model
    try:
        proto = version_converter.convert_version(ir.to_proto(model), OPSET)
    except Exception as error:  # the converter's C++ errors share no base
        raise UnsupportedModelError(
            f"{name} cannot be turned from opset {version} into {OPSET}",
            got=" ".join(str(error).split()),
            hint=f"export it again with opset {OPSET}",
        ) from error
    return _tidy(ir.from_proto(_with_types(proto)))


def free_samples(model: ir.Model) -> ir.Model:
    """Free a number of samples that is fixed to one, as many exporters leave it.

    What reshapes to a shape that begins with that one gets the number of samples instead. Whether
    the graph then computes the same is not known before it has run.

    Returns:
        Another model, or the same where no input has such an axis.
    """
    fixed = [v for v in model.graph.inputs if v.shape is not None and list(v.shape)[:1] == [1]]
    if not fixed:
        return model
    names = {v.name for v in fixed}
    model = ir.from_proto(ir.to_proto(model))
    for node in model.graph.all_nodes():
        if node.op_type == "Reshape":
            _free_reshape(model.graph, node)
    for value in model.graph.inputs:
        if value.name in names and value.shape is not None:
            value.shape = ir.Shape([SAMPLES, *list(value.shape)[1:]])
    for node in model.graph.all_nodes():  # what was inferred held for one sample
        for value in node.outputs:
            value.shape = None
    return ir.from_proto(_with_types(ir.to_proto(model)))


def _free_reshape(graph: ir.Graph, node: ir.Node) -> None:
    source, target = node.inputs[:2]
    wanted = None if target is None else ir.convenience.get_const_tensor(target)
    before, after = (None if v is None else v.shape for v in (source, node.outputs[0]))
    if wanted is None or before is None or after is None:
        return
    sizes = list(after)
    if list(before)[:1] != [1] or sizes[:1] != [1] or not all(isinstance(n, int) for n in sizes):
        return
    free = np.array([-1, *sizes[1:]], np.int64)
    value = ir.Value(
        name=f"{node.outputs[0].name}/free_shape",
        type=ir.TensorType(ir.DataType.INT64),
        shape=ir.Shape(free.shape),
        const_value=ir.tensor(free),
    )
    graph.register_initializer(value)
    node.replace_input_with(1, value)


def _opset(model: ir.Model) -> int:
    return int(model.opset_imports.get("", model.opset_imports.get("ai.onnx", 1)))
