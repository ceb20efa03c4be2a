"""A support set taken slice by slice: sums over the slices in place of one large batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgemeta import bundle
from edgemeta_export.graph_building import (
    Values,
    append,
    append_loop,
    constant,
    like,
    splice,
    start_body,
    zeros_like,
)
from edgemeta_export.loop_functions import GRADIENT, LOSS, SHARE
from edgemeta_export.short_names import PART


@dataclass(frozen=True)
class Slices:
    """What cutting the support set needs to know.

    Attributes:
        size: (1,) samples in each slice; the last one may have fewer.
        samples: (1,) samples in all.
        count: () slices.
        zeros: what the sums of a step start from: its gradients, and the loss.
    """

    size: ir.Value
    samples: ir.Value
    count: ir.Value
    zeros: Values


def append_slices(graph: ir.Graph, x: ir.Value, size: int, params: Values) -> Slices:
    """Append what counts the slices of a support set (S, ...), and the zeros."""
    one = constant(graph, "slices/one", np.array([1]))
    size_of = constant(graph, "slices/size", np.array([size]))
    samples = append(graph, "Shape", [x], "slices/samples", {"start": 0, "end": 1})
    last = append(graph, "Sub", [samples, one], "slices/last_sample")
    last_slice = append(graph, "Div", [last, size_of], "slices/last")
    count = append(graph, "Add", [last_slice, one], "slices/count")
    slices = append(graph, "Squeeze", [count], "slices")
    zeros = {
        GRADIENT.format(name): zeros_like(graph, f"slices/{name}", value)
        for name, value in params.items()
    }
    zeros[LOSS] = constant(graph, "slices/zero", np.float32(0))
    return Slices(size_of, samples, slices, zeros)


def over_slices(
    target: ir.Graph,
    outer: ir.Graph,
    function: ir.Graph,
    given: Mapping[str, ir.Value],
    slices: Slices,
    names: Iterable[str],
    prefix: str,
) -> Values:
    """Append a Loop that runs `function` on each slice of the support set, and adds up its outputs.

    Args:
        target: the graph that gets the Loop.
        outer: the graph that gets the constants.
        function: a lowered function of a slice and of its share; it is used up.
        given: a value for each of its other inputs; the support set whole. Without a share in it,
            a slice's is that of the samples.
        slices: how to cut it.
        names: of its outputs.
        prefix: set before the names of inner values.

    Returns:
        The sums.
    """
    zeros = {name: slices.zeros[name] for name in names}
    sums = {name: like(zero, f"{prefix}/sum/{name}") for name, zero in zeros.items()}
    body, index = start_body("slice", f"{prefix}/slice", list(sums.values()))
    start = append(body, "Mul", [index, slices.size], f"{prefix}/slice/start")
    end = append(body, "Add", [start, slices.size], f"{prefix}/slice/end")
    axis = constant(outer, f"{prefix}/slice/axis", np.array([0]))
    parts = {}
    for name in (bundle.SUPPORT_X, bundle.SUPPORT_Y):
        whole = given[name]
        cut = f"{prefix}/{PART.format(name)}"
        parts[name] = append(body, "Slice", [whole, start, end, axis], cut)
        assert whole.shape is not None  # noqa: S101  # of an input it is known
        parts[name].type = whole.type
        parts[name].shape = ir.Shape(["slice", *whole.shape[1:]])
    if SHARE not in given:
        x = parts[bundle.SUPPORT_X]
        here = append(body, "Shape", [x], f"{prefix}/slice/samples", {"start": 0, "end": 1})
        counts = [
            append(body, "Cast", [count], f"{prefix}/slice/{name}", {"to": ir.DataType.FLOAT})
            for count, name in ((here, "here"), (slices.samples, "all"))
        ]
        part = append(body, "Div", counts, f"{prefix}/slice/part")
        parts[SHARE] = append(body, "Squeeze", [part], f"{prefix}/slice/share")
    found = splice(body, outer, function, {**given, **parts}, f"{prefix}/slice")
    added = [
        append(body, "Add", [sums[name], found[name]], f"{prefix}/added/{name}") for name in zeros
    ]
    for value, zero in zip(added, zeros.values(), strict=True):
        value.type, value.shape = zero.type, zero.shape
    body.outputs.extend(added)
    totals = {name: like(zero, f"{prefix}/{name}") for name, zero in zeros.items()}
    append_loop(
        target, f"{prefix}/slices", slices.count, zeros.values(), body, list(totals.values())
    )
    return totals
