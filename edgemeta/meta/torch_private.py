"""The names of torch that torch does not promise to keep: all that edgemeta uses, in one place.

`PRIVATE` says of each what it is and what takes its place when it goes. Each is imported when it
is asked for: training needs nothing of the exporter, and the rest works where one name is missing.

    from edgemeta.meta.torch_private import OpOverload

A test finds private names that are used elsewhere; `make newest` runs the compiler's tests on a
newer torch than the one in constraints.txt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch._C import FloatType, Graph, ListType, OptionalType, TensorType, TupleType
    from torch._C import _create_function_from_graph as create_function_from_graph
    from torch._C import _current_autograd_node as current_autograd_node
    from torch._C import _get_graph_executor_optimize as get_graph_executor_optimize
    from torch._C import _set_graph_executor_optimize as set_graph_executor_optimize
    from torch._C._nn import adaptive_avg_pool2d, adaptive_avg_pool3d
    from torch._decomp import decomposition_table
    from torch._dispatch.python import enable_python_dispatcher
    from torch._dynamo.source import ConstantSource
    from torch._ops import OpOverload
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
    from torch.onnx._internal.exporter import _core as exporter_core
    from torch.onnx._internal.exporter import _fx_passes as exporter_passes
    from torch.onnx._internal.exporter._registration import ONNXRegistry
    from torch.onnx._internal.fx.passes.type_promotion import (
        InsertTypePromotion,
        TypePromotionTable,
        get_type_promotion_rule,
    )
    from torch.onnx._internal.fx.passes.type_promotion import (
        _TypePromotionInterpreter as TypePromotionInterpreter,
    )
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

TESTED = "torch>=2.13,<2.15"
"""What pyproject.toml allows: the versions that the tests passed on."""


class Private(NamedTuple):
    """A name that torch does not promise.

    Attributes:
        place: where it is, as `module:name`.
        what: it is.
        instead: what takes its place when it goes.
    """

    place: str
    what: str
    instead: str


_TORCHSCRIPT = "nothing: outer steps run op by op, with the same results in more time"
_FREE_SIZE = "`torch.export.export` with `torch.export.Dim`, which lets no pass of ours in between"
_EXPORTER = "`torch.onnx.export(..., custom_translation_table=RULES)`, which reads its rules anew"
_PROMOTION = "nothing: PyTorch's own pass, which takes longer, on all nodes"

_POOL = "the function of `torch.nn.functional` alone, where torch calls no other"

PRIVATE: dict[str, Private] = {
    # Every op that runs.
    "TorchDispatchMode": Private(
        "torch.utils._python_dispatch:TorchDispatchMode",
        "sees every op that runs, of a backward pass too; PyTorch documents it as an extension",
        "a subclass of `Tensor` with `__torch_dispatch__`",
    ),
    "tree_leaves": Private(
        "torch.utils._pytree:tree_leaves",
        "the tensors in nested lists, tuples and dicts",
        "ten lines of our own",
    ),
    "tree_map": Private(
        "torch.utils._pytree:tree_map", "a function of each of them", "ten lines of our own"
    ),
    "tree_map_only": Private(
        "torch.utils._pytree:tree_map_only", "of those of one type", "ten lines of our own"
    ),
    "current_autograd_node": Private(
        "torch._C:_current_autograd_node",
        "the node of autograd that runs now, for the names of ops in a backward pass",
        "`torch.autograd.graph.Node.register_prehook` on each node",
    ),
    "OpOverload": Private(
        "torch._ops:OpOverload",
        "the class of ATen's ops, to tell them from Python functions in a traced graph",
        "`type(torch.ops.aten.add.Tensor)`",
    ),
    # A recorded outer step.
    "Graph": Private("torch._C:Graph", "a TorchScript graph", _TORCHSCRIPT),
    "FloatType": Private("torch._C:FloatType", "a type in TorchScript", _TORCHSCRIPT),
    "ListType": Private("torch._C:ListType", "a type in TorchScript", _TORCHSCRIPT),
    "OptionalType": Private("torch._C:OptionalType", "a type in TorchScript", _TORCHSCRIPT),
    "TensorType": Private("torch._C:TensorType", "a type in TorchScript", _TORCHSCRIPT),
    "TupleType": Private("torch._C:TupleType", "a type in TorchScript", _TORCHSCRIPT),
    "create_function_from_graph": Private(
        "torch._C:_create_function_from_graph", "lets TorchScript run a graph", _TORCHSCRIPT
    ),
    "get_graph_executor_optimize": Private(
        "torch._C:_get_graph_executor_optimize",
        "whether TorchScript rewrites a graph before it runs it, which may take minutes",
        _TORCHSCRIPT,
    ),
    "set_graph_executor_optimize": Private(
        "torch._C:_set_graph_executor_optimize", "turns that off", _TORCHSCRIPT
    ),
    # Tracing.
    "decomposition_table": Private(
        "torch._decomp:decomposition_table",
        "PyTorch's decompositions of ATen's ops into simpler ones",
        "`torch.export.default_decompositions()`",
    ),
    "enable_python_dispatcher": Private(
        "torch._dispatch.python:enable_python_dispatcher",
        "lets ops such as padding take free sizes while they are traced",
        'what `make_fx(tracing_mode="symbolic")` turns on by itself',
    ),
    "ConstantSource": Private(
        "torch._dynamo.source:ConstantSource", "where a free size comes from", _FREE_SIZE
    ),
    "FakeTensorMode": Private(
        "torch._subclasses.fake_tensor:FakeTensorMode",
        "tensors that have shapes and no data",
        _FREE_SIZE,
    ),
    "DataDependentOutputException": Private(
        "torch._subclasses.fake_tensor:DataDependentOutputException",
        "says that code asks for the values of such tensors",
        "the error that `torch.export.export` raises there",
    ),
    # PyTorch's translations into ONNX.
    "ONNXRegistry": Private(
        "torch.onnx._internal.exporter._registration:ONNXRegistry",
        "which op has a translation",
        _EXPORTER,
    ),
    "exporter_core": Private(
        "torch.onnx._internal.exporter._core:",
        "translates a traced graph op by op; `current_tracer` gets the nodes",
        _EXPORTER,
    ),
    "exporter_passes": Private(
        "torch.onnx._internal.exporter._fx_passes:",
        "where the exporter finds its pass that promotes types, to put ours in its place",
        _PROMOTION,
    ),
    "adaptive_avg_pool2d": Private(
        "torch._C._nn:adaptive_avg_pool2d",
        "what `torch.nn.functional.adaptive_avg_pool2d` calls, as a mode sees it",
        _POOL,
    ),
    "adaptive_avg_pool3d": Private(
        "torch._C._nn:adaptive_avg_pool3d",
        "what `torch.nn.functional.adaptive_avg_pool3d` calls, as a mode sees it",
        _POOL,
    ),
    "InsertTypePromotion": Private(
        "torch.onnx._internal.fx.passes.type_promotion:InsertTypePromotion",
        "that pass",
        _PROMOTION,
    ),
    "TypePromotionInterpreter": Private(
        "torch.onnx._internal.fx.passes.type_promotion:_TypePromotionInterpreter",
        "what it does with a node",
        _PROMOTION,
    ),
    "get_type_promotion_rule": Private(
        "torch.onnx._internal.fx.passes.type_promotion:get_type_promotion_rule",
        "the rule by which an op promotes types, if it has one",
        _PROMOTION,
    ),
    "TypePromotionTable": Private(
        "torch.onnx._internal.fx.passes.type_promotion:TypePromotionTable",
        "its rules for each op",
        _PROMOTION,
    ),
}

__all__ = [
    "PRIVATE",
    "TESTED",
    "ConstantSource",
    "DataDependentOutputException",
    "FakeTensorMode",
    "FloatType",
    "Graph",
    "InsertTypePromotion",
    "ListType",
    "ONNXRegistry",
    "OpOverload",
    "OptionalType",
    "Private",
    "TensorType",
    "TorchDispatchMode",
    "TupleType",
    "TypePromotionInterpreter",
    "TypePromotionTable",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "create_function_from_graph",
    "current_autograd_node",
    "decomposition_table",
    "enable_python_dispatcher",
    "exporter_core",
    "exporter_passes",
    "get_graph_executor_optimize",
    "get_type_promotion_rule",
    "schema_of",
    "set_graph_executor_optimize",
    "tree_leaves",
    "tree_map",
    "tree_map_only",
]


def __getattr__(name: str) -> Any:
    if name not in PRIVATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, inside = PRIVATE[name].place.partition(":")
    try:
        found = import_module(module)
        found = getattr(found, inside) if inside else found
    except (ImportError, AttributeError) as error:
        import torch

        raise ImportError(
            f"torch {torch.__version__} lacks {PRIVATE[name].place.rstrip(':')}; "
            f"install a version that edgemeta was tested with: pip install '{TESTED}'"
        ) from error
    globals()[name] = found  # the next one finds it at once
    return found


def schema_of(op: OpOverload) -> Any:
    """Return an op's schema: its arguments and results, their types and defaults.

    Its attribute `_schema` is private; ops print it, which a parser of our own would have to read.
    """
    return op._schema
