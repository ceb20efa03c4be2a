"""From a flat ATen graph to a flat ONNX graph: PyTorch's own translations plus our rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from unittest.mock import patch

import onnx_ir as ir
import torch

from edgemeta.errors import UnsupportedModelError
from edgemeta.meta.torch_private import ONNXRegistry, exporter_core, exporter_passes
from edgemeta_export.decompose import translations
from edgemeta_export.layers import label_of
from edgemeta_export.naming import name_by_layer
from edgemeta_export.program import AtenProgram
from edgemeta_export.promote import promote_types
from edgemeta_export.quiet import quiet
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import OPSET
from edgemeta_export.simplify import simplify


def lower(program: AtenProgram, inputs: Sequence[str], outputs: Sequence[str]) -> ir.Model:
    """Translate a traced function.

    Args:
        program: what `edgemeta_export.trace.trace` returned.
        inputs: names for its flattened inputs, in order.
        outputs: names for its flattened outputs, in order.

    Returns:
        The model; names of inputs and outputs are as asked for.

    Raises:
        UnsupportedModelError: an op has neither a translation nor a rule.
    """
    try:
        with quiet(), patch.object(exporter_passes, "insert_type_promotion_nodes", promote_types):
            model = exporter_core.export(
                program,
                registry=_registry(),
                opset_version=OPSET,
                optimize=False,
                verbose=False,
            ).model
    except torch.onnx.errors.OnnxExporterError as error:
        raise UnsupportedModelError(
            "the model cannot be lowered to ONNX",
            got=_reason(error),
            hint="replace the layer, or add a rule in edgemeta_export/rules",
        ) from error
    with quiet():
        simplify(model)
    name_by_layer(model.graph, {node.name: label_of(node) for node in program.graph.nodes})
    for value, name in zip(model.graph.inputs, inputs, strict=True):
        value.name = name
    for value, name in zip(model.graph.outputs, outputs, strict=True):
        value.name = name
    return model


def _registry() -> ONNXRegistry:
    """Return PyTorch's translations and our rules.

    `torch.onnx.export` would make the same of its `custom_translation_table`, anew for each graph.
    """
    registry = copy(translations())
    registry.functions = {target: [*found] for target, found in registry.functions.items()}
    for target, translation in RULES.items():
        registry.register_op(target, translation)
    return registry


def _reason(error: BaseException) -> str:
    """Return the missing ops that an exporter's error names, or its own first line."""
    text = f"{error} {error.__cause__}"
    missing = sorted(set(re.findall(r"No ONNX function found for <OpOverload\(op='([^']+)'", text)))
    if missing:
        return "no rule for " + ", ".join(missing)
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0]}"
