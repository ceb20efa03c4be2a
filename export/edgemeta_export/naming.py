"""Names that say where a value comes from, for whoever looks at a bundle in a graph viewer."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

import onnx_ir as ir

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where PyTorch's exporter notes, last, the traced node that an ONNX node translates."""


def name_by_layer(graph: ir.Graph, labels: Mapping[str, str | None]) -> None:
    """Name nodes, values and constants by layer and operator, such as `features.0/grad/MatMul`.

    Args:
        graph: a translated graph; inputs and outputs are renamed as well if nodes make them.
        labels: what each traced node belongs to (see `edgemeta_export.layers`), by its name.
    """
    taken: Counter[str] = Counter()
    label = "end"
    found: dict[ir.Node, str] = {}
    for node in reversed(graph):
        # What a clean-up made has no note; it belongs to what it is followed by.
        label = found[node] = labels.get(_traced_name(node)) or label
    for node, label in reversed(found.items()):
        node.name = _unique(f"{label}/{node.op_type}", taken)
        for number, value in enumerate(node.outputs):
            value.name = node.name if len(node.outputs) == 1 else f"{node.name}.{number}"
    constants = list(graph.initializers.values())
    graph.initializers.clear()
    for value in constants:
        readers = [f"{use.node.name}/{use.idx}" for use in value.uses()]
        value.name = readers[0] if readers else _unique("constant", taken)
        graph.register_initializer(value)


def _traced_name(node: ir.Node) -> str:
    scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return str(scopes[-1]) if scopes else ""


def _unique(name: str, taken: Counter[str]) -> str:
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}_{taken[name]}"
