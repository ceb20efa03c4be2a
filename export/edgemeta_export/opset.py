"""A finished graph in another opset, for runtimes older or newer than the one it was written for.

The converters of the libraries do not get there: onnx's cannot see constants outside of a Loop's
body and has no step for Pad, onnxscript's goes only upwards. Both would also let a node through
that merely looks the same. Here onnx's own schemas decide: a node stays as it is where both opsets
describe it alike, an adapter rewrites it where one is registered, and all others are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import onnx
import onnx_ir as ir
import onnxruntime
from onnx import defs, helper

from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta_export.opset_adapters import ADAPTERS, ObstacleError

OLDEST = 17  # LayerNormalization is of this one; onnxruntime has run it since 1.12, of 2022

# Same signature, another meaning: the opset from which on the op is a different one.
REDEFINED = {"GridSample": 20, "GroupNormalization": 21}

# Attribute values that a schema does not list: the opset that brought them.
VALUES = {
    ("Pad", "mode", "wrap"): 19,
    ("Resize", "coordinate_transformation_mode", "half_pixel_symmetric"): 19,
    ("ScatterElements", "reduction", "max"): 18,
    ("ScatterElements", "reduction", "min"): 18,
    ("ScatterND", "reduction", "max"): 18,
    ("ScatterND", "reduction", "min"): 18,
}


def to_opset(model: ir.Model, opset: int) -> ir.Model:
    """Turn a finished graph into another opset, with the oldest IR version that has it.

    Args:
        model: the graph; it stays as it is. Its weights are shared with the result.
        opset: from 17 to the newest that the installed onnxruntime runs.

    Returns:
        A graph that computes the same.

    Raises:
        InputError: the opset is out of range.
        UnsupportedModelError: ops stand in the way; the text names all of them.
    """
    if not OLDEST <= opset <= newest_opset():
        raise InputError(
            "this opset cannot be made here", got=opset, expected=f"{OLDEST} to {newest_opset()}"
        )
    model = model.clone()
    source = model.graph.opset_imports[""]
    if opset == source:
        return model
    obstacles = set()
    for node in list(model.graph.all_nodes()):
        try:
            _move(model.graph, node, source, opset)
        except ObstacleError as obstacle:
            obstacles.add(f"{node.op_type} ({obstacle})")
    if obstacles:
        raise UnsupportedModelError(
            f"the graph cannot be turned from opset {source} into {opset}",
            got=", ".join(sorted(obstacles)),
            hint="choose an opset nearer to it, or replace the layers",
        )
    for graph in model.graphs():
        graph.opset_imports[""] = opset
    model.ir_version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)])
    _drop_unread_constants(model.graph)
    return model


@cache
def newest_opset() -> int:
    """Return the newest opset that the installed onnxruntime loads, and onnx describes."""
    newest: int = defs.onnx_opset_version()
    while newest > OLDEST and not _loads(newest):
        newest -= 1
    return newest


def _loads(opset: int) -> bool:
    """Whether onnxruntime takes a graph of one node in this opset."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "probe",
        [value("a", onnx.TensorProto.FLOAT, [1])],
        [value("b", onnx.TensorProto.FLOAT, [1])],
    )
    imports = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports)
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a refusal is an answer here, nothing to report
    try:
        onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # onnxruntime's errors share no base of their own
        return False
    return True


def _drop_unread_constants(main: ir.Graph) -> None:
    """Drop constants that became attributes.

    onnx_ir's pass for dead code also cuts the empty inputs at a node's end, which Loop must have.
    """
    for name, value in list(main.initializers.items()):
        if not (value.uses() or value.is_graph_input() or value.is_graph_output()):
            del main.initializers[name]


def _move(main: ir.Graph, node: ir.Node, source: int, target: int) -> None:
    """Make one node fit the target opset.

    Raises:
        ObstacleError: that cannot be done.
    """
    if node.domain not in ("", "ai.onnx"):
        return  # another domain has its own version
    node.version = None  # the exporter's note; from here on the graph's import says it
    before = defs.get_schema(node.op_type, source)
    if node.op_type in ADAPTERS:
        since, adapter = ADAPTERS[node.op_type]
        if target < since <= source:
            adapter(main, node)
        if node.graph is None:
            return  # replaced by others, which are the same since OLDEST
    try:
        after = defs.get_schema(node.op_type, target)
    except defs.SchemaError:
        raise ObstacleError("not in that opset") from None
    if before.since_version == after.since_version:
        return
    redefined = REDEFINED.get(node.op_type, 0)
    if min(source, target) < redefined <= max(source, target):
        raise ObstacleError(f"another op since opset {redefined}")
    _fit_attributes(node, before, after, target)
    _check_inputs(node, before, after)
    _check_types(node, after)


def _fit_attributes(
    node: ir.Node, before: defs.OpSchema, after: defs.OpSchema, target: int
) -> None:
    """Drop attributes that the target lacks but that say nothing, and spell out old defaults."""
    for name, attribute in list(node.attributes.items()):
        value = attribute.value
        brought = VALUES.get((node.op_type, name, value)) if isinstance(value, str) else None
        if brought is not None and target < brought:
            raise ObstacleError(f"{name}={value} since opset {brought}")
        if name in after.attributes:
            continue
        if value != _default(before, name) and not _is_neutral(name, value):
            raise ObstacleError(f"no attribute {name}")
        del node.attributes[name]
    for name, described in after.attributes.items():
        if name in node.attributes:
            continue
        if described.required:
            raise ObstacleError(f"wants attribute {name}")
        default = _default(before, name)
        if default is not None and default != _default(after, name):
            node.attributes[name] = ir.convenience.convert_attribute(name, default)


def _default(schema: defs.OpSchema, name: str) -> Any:
    """Return an attribute's default value, or None."""
    described = schema.attributes.get(name)
    if described is None or not described.default_value.name:
        return None
    value = helper.get_attribute_value(described.default_value)
    return value.decode() if isinstance(value, bytes) else value


def _is_neutral(name: str, value: Any) -> bool:
    """Whether an attribute without a default in the schema asks for nothing."""
    return name == "dilations" and all(dilation == 1 for dilation in value)


def _check_inputs(node: ir.Node, before: defs.OpSchema, after: defs.OpSchema) -> None:
    """Refuse more inputs than the target has, or fewer than it needs."""
    for place, value in enumerate(node.inputs):
        if value is not None and place >= after.max_input:
            raise ObstacleError(f"no input {before.inputs[place].name}")
    if len(node.inputs) < after.min_input:
        raise ObstacleError(f"wants input {after.inputs[len(node.inputs)].name}")


def _check_types(node: ir.Node, schema: defs.OpSchema) -> None:
    """Refuse types of inputs and outputs that the target does not have."""
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    for values, formals in ((node.inputs, schema.inputs), (node.outputs, schema.outputs)):
        for value, formal in _paired(values, formals):
            kind = _type_name(value)
            if kind is not None and kind not in allowed.get(formal.type_str, {formal.type_str}):
                raise ObstacleError(f"not for {kind}")


def _paired(
    values: Sequence[ir.Value | None], formals: Sequence[Any]
) -> Iterator[tuple[ir.Value | None, Any]]:
    """Pair values with their descriptions; the last description holds for all that follow."""
    for place, value in enumerate(values):
        yield value, formals[min(place, len(formals) - 1)]


def _type_name(value: ir.Value | None) -> str | None:
    """Return a tensor's type as schemas spell it ("tensor(float)"), or None if unknown."""
    if value is None or not isinstance(value.type, ir.TensorType):
        return None
    return f"tensor({value.type.dtype.name.lower()})"
