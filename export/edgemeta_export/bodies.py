"""Graphs inside of graphs, such as the bodies of Loops, in ONNX's own form."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def graphs_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and those inside of it, such as bodies of Loops."""
    yield graph
    for node in graph.node:
        for body in bodies_of(node):
            yield from graphs_in(body)


def bodies_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs that a node holds itself."""
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
