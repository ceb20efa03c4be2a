"""A support set taken slice by slice: sums over the slices in place of one large batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgemeta import bundle
from edgemeta_export.building import Values, append, constant, like, splice, typed
from edgemeta_export.pieces import SHARE
from edgemeta_export.rules.registry import OPSET

ZERO, SLICES, SLICE_SIZE, SAMPLES = "zero", "slices", "slices/size", "slices/samples"


def slice_numbers(graph: ir.Graph, x: ir.Value, size: int) -> Values:
    """Append what cutting the support set into slices needs to know.

    Returns:
        Under `ZERO` a zero, and by the other names how many slices there are, samples in each, and
        samples in all.
    """
    one = constant(graph, "slices/one", np.array([1]))
    size_of = constant(graph, SLICE_SIZE, np.array([size]))
    samples = append(graph, "Shape", [x], SAMPLES, {"start": 0, "end": 1})
    last = append(graph, "Sub", [samples, one], "slices/last_sample")
    last_slice = append(graph, "Div", [last, size_of], "slices/last")
    count = append(graph, "Add", [last_slice, one], "slices/count")
    slices = append(graph, "Squeeze", [count], SLICES)
    zero = constant(graph, ZERO, np.float32(0))
    return {SLICE_SIZE: size_of, SAMPLES: samples, SLICES: slices, ZERO: zero}


def over_slices(
    target: ir.Graph,
    outer: ir.Graph,
    piece: ir.Model,
    given: Mapping[str, ir.Value],
    zeros: Values,
    prefix: str,
) -> Values:
    """Append a Loop that runs `piece` on each slice of the support set, and adds up its outputs.

    Args:
        target: the graph that gets the Loop.
        outer: the graph that gets the constants.
        piece: a lowered function of a slice and of its share of the samples; it is used up.
        given: a value for each of its other inputs, and those of `_slice_numbers`.
        zeros: what the sums start from, by names of its outputs.
        prefix: set before the names of inner values.

    Returns:
        The sums.
    """
    index = typed(f"{prefix}/slice/index", ir.DataType.INT64, [])
    condition = typed(f"{prefix}/slice/condition", ir.DataType.BOOL, [])
    sums = {name: like(zero, f"{prefix}/sum/{name}") for name, zero in zeros.items()}
    body = ir.Graph(
        [index, condition, *sums.values()],
        [],
        nodes=[],
        opset_imports={"": OPSET},
        name="slice",
    )
    go_on = append(body, "Identity", [condition], f"{prefix}/slice/go_on")
    start = append(body, "Mul", [index, given[SLICE_SIZE]], f"{prefix}/slice/start")
    end = append(body, "Add", [start, given[SLICE_SIZE]], f"{prefix}/slice/end")
    axis = constant(outer, f"{prefix}/slice/axis", np.array([0]))
    parts = {}
    for name in (bundle.SUPPORT_X, bundle.SUPPORT_Y):
        whole = given[name]
        parts[name] = append(body, "Slice", [whole, start, end, axis], f"{prefix}/slice/{name}")
        assert whole.shape is not None  # noqa: S101  # of an input it is known
        parts[name].type = whole.type
        parts[name].shape = ir.Shape(["slice", *whole.shape[1:]])
    x = parts[bundle.SUPPORT_X]
    here = append(body, "Shape", [x], f"{prefix}/slice/samples", {"start": 0, "end": 1})
    counts = [
        append(body, "Cast", [count], f"{prefix}/slice/{name}", {"to": ir.DataType.FLOAT})
        for count, name in ((here, "here"), (given[SAMPLES], "all"))
    ]
    part = append(body, "Div", counts, f"{prefix}/slice/part")
    parts[SHARE] = append(body, "Squeeze", [part], f"{prefix}/slice/share")
    found = splice(body, outer, piece, {**given, **parts}, f"{prefix}/slice")
    added = [
        append(body, "Add", [sums[name], found[name]], f"{prefix}/added/{name}") for name in zeros
    ]
    for value, zero in zip(added, zeros.values(), strict=True):
        value.type, value.shape = zero.type, zero.shape
    body.outputs.extend([go_on, *added])
    totals = {name: like(zero, f"{prefix}/{name}") for name, zero in zeros.items()}
    target.append(
        ir.node(
            "Loop",
            [given[SLICES], None, *zeros.values()],
            {"body": body},
            outputs=list(totals.values()),
            name=f"{prefix}/slices",
        )
    )
    return totals
