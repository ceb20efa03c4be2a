"""Short names for what is inside a finished graph: names were up to half of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import onnx

from edgemeta import bundle
from edgemeta_export.bodies import bodies_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PART = "slice/{}"
"""How the names of nodes end that cut a slice from the support set."""
CUTS = tuple(PART.format(name) for name in (bundle.SUPPORT_X, bundle.SUPPORT_Y))

SIGNS = LETTERS + "0123456789"  # behind the first letter


def shorten_names(graph: onnx.GraphProto) -> None:
    """Rename values and nodes, in place; the graph computes the same.

    Inputs, outputs and tensors in `init.bin` keep their names: callers use them. Any other value
    gets a letter or two, the same in all bodies that read it. A node keeps its long name only where
    another layer begins: those that follow it without a name belong to the same layer. What has a
    body, such as a Loop, always keeps its name, and what cuts slices, which `cost` looks for.

    Args:
        graph: the main graph, with names that are unique in it and its bodies.

    Example:
        Before: step/conv1/Gemm, step/conv1/Relu, step/head/Gemm. After: the first and the third.
    """
    names = {"": ""}  # an input that is left out
    for value in (*graph.input, *graph.output, *graph.initializer):
        if not isinstance(value, onnx.TensorProto) or value.external_data:
            names[value.name] = value.name
    kept = frozenset(names)
    _rename(graph, names, (name for name in _short_names() if name not in kept))


def _rename(graph: onnx.GraphProto, names: dict[str, str], fresh: Iterator[str]) -> None:
    """Rename in a graph and its bodies, whose names for the values around them are `names`."""

    def renamed(name: str) -> str:
        if name not in names:
            names[name] = next(fresh)
        return names[name]

    for value in (*graph.input, *graph.initializer):
        value.name = renamed(value.name)
    last = None
    for node in graph.node:
        bodies = bodies_of(node)
        name = node.name or next(filter(None, node.output))
        layer = name.rpartition("/")[0]
        if bodies or layer != last or name.endswith(CUTS):
            node.name = name
        else:
            node.ClearField("name")
        last = layer
        for body in bodies:
            _rename(body, names, fresh)
        for values in (node.input, node.output):
            values[:] = [renamed(each) for each in values]
    for value in graph.output:
        value.name = renamed(value.name)


def _short_names() -> Iterator[str]:
    """Yield a, b, ... z, aa, ... a9, ba, ... without end."""
    for number in count():
        name = ""
        while number >= len(LETTERS):
            number, sign = divmod(number - len(LETTERS), len(SIGNS))
            name = SIGNS[sign] + name
        yield LETTERS[number] + name
