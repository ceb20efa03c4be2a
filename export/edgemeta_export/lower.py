"""From a flat ATen graph to a flat ONNX graph: PyTorch's own translations plus our rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx_ir as ir
import torch
from torch.export import ExportedProgram

from edgemeta.errors import UnsupportedModelError
from edgemeta_export.quiet import quiet
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import OPSET


def lower(program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]) -> ir.Model:
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
        with quiet():
            # Everything is in `program`; torch.onnx takes it in place of a module.
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                custom_translation_table=RULES,
                optimize=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UnsupportedModelError(
            "the model cannot be lowered to ONNX",
            got=_reason(error),
            hint="replace the layer, or add a rule in edgemeta_export/rules",
        ) from error
    assert exported is not None  # noqa: S101  # only None for the TorchScript exporter
    model = exported.model
    for value, name in zip(model.graph.inputs, inputs, strict=True):
        value.name = name
    for value, name in zip(model.graph.outputs, outputs, strict=True):
        value.name = name
    return model


def _reason(error: BaseException) -> str:
    """Return the missing ops that an exporter's error names, or its own first line."""
    text = f"{error} {error.__cause__}"
    missing = sorted(set(re.findall(r"No ONNX function found for <OpOverload\(op='([^']+)'", text)))
    if missing:
        return "no rule for " + ", ".join(missing)
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {str(cause).splitlines()[0]}"
