"""Models to bytes, with the init in one file that both graphs refer to."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ClearMetadataAndDocStringPass

from edgemeta import bundle
from edgemeta_export.bodies import graphs_in
from edgemeta_export.short_names import shorten_names

ALIGNMENT = 64  # bytes: a cache line, so that a mapped tensor is as good as an allocated one


def pack_init(models: Iterable[ir.Model], names: Iterable[str]) -> bytes:
    """Move the tensors `names` out of the models into the content of `init.bin`.

    So are tables of indices (constants of uint16, see `shrink_constants`), most of which both
    graphs have. All other constants stay inline: shape inference inside a Loop cannot read
    external data.

    Args:
        models: the graphs; each initializer of theirs called one of `names` is made to refer to
            its place in the file.
        names: torch names; a tensor that no graph holds is left out.

    Returns:
        The content of `init.bin`.
    """
    content = bytearray()
    places: dict[str | bytes, ir.ExternalTensor] = {}
    wanted = set(names)
    for model in models:
        for name, value in model.graph.initializers.items():
            tensor = value.const_value
            if tensor is None:
                continue
            data = tensor.numpy()  # not ascontiguousarray, which makes vectors of scalars
            key: str | bytes
            if name in wanted:
                key = name
            elif tensor.dtype == ir.DataType.UINT16:
                key = data.tobytes()
            else:
                continue
            if key not in places:
                content.extend(bytes(-len(content) % ALIGNMENT))
                places[key] = ir.ExternalTensor(
                    bundle.INIT,
                    len(content),
                    data.nbytes,
                    tensor.dtype,
                    shape=ir.Shape(list(data.shape)),
                    name=name,
                )
                content.extend(data.tobytes())
            value.const_value = copy(places[key])
            value.const_value.name = name
    return bytes(content)


def to_bytes(model: ir.Model) -> bytes:
    """Serialise a model, without the compiler's own notes on each node, and with short names.

    Shapes of inner values are left out, which whoever wants them can infer.
    """
    ClearMetadataAndDocStringPass()(model)
    proto = ir.to_proto(model)
    for graph in graphs_in(proto.graph):
        del graph.value_info[:]
    shorten_names(proto.graph)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def ops_used(model: ir.Model) -> list[str]:
    """Return the op types of a model, those in Loop bodies included, in alphabetical order."""
    return sorted({node.op_type for node in model.graph.all_nodes()})


def check_graph(path: Path) -> None:
    """Run the ONNX checker, with shape inference, over a written graph.

    Raises:
        onnx.checker.ValidationError: the compiler made an invalid graph.
    """
    onnx.checker.check_model(path, full_check=True)
