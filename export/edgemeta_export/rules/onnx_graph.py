"""A whole ONNX graph as one node, until the passes have run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

from edgemeta.meta.models.onnx_graph import GRAPHS
from edgemeta.meta.torch_private import exporter_core
from edgemeta_export.rules.registry import rule

__all__ = ["DOMAIN", "KEY", "onnx_graph"]

DOMAIN, OP_TYPE, KEY = "edgemeta", "OnnxGraph", "key"


@rule(torch.ops.edgemeta.onnx_graph.default)
def onnx_graph(inputs: Any, key: str) -> Sequence[Any]:
    """An `edgemeta.OnnxModule`: a placeholder that `inline` replaces at the end.

    So the passes move and share a body of a thousand nodes as one. No op of onnxscript's has
    another domain, hence the node is made as PyTorch makes those of `torch.onnx.ops.symbolic`.

    Shapes: whatever the graph has, samples along axis 0.
    """
    tracer = exporter_core.current_tracer
    assert tracer is not None  # noqa: S101  # a rule is called by the exporter alone
    node = ir.node(
        OP_TYPE,
        list(inputs),
        {KEY: key},
        domain=DOMAIN,
        num_outputs=len(GRAPHS[key].dtypes),
    )
    tracer.nodes.append(node)
    return list(node.outputs)
