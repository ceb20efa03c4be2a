"""The lowering rules: one small function per ATen op that needs a translation of ours.

A rule is a plain function from the op's arguments to ONNX values, written with `op`. It is needed
only where PyTorch's own exporter has no translation (most `*_backward` ops), or a slower one. To
add one, write it in the file of its family, decorate it with `@rule(torch.ops.aten....)`, and give
its test a row in tests/export/test_rules.py: tests iterate over `RULES`, and a rule without sample
inputs fails collection.
"""

from edgemeta_export.rules import (
    activation,
    arithmetic,
    conv,
    gather,
    loss,
    onnx_graph,
    pool,
    product,
    recurrent,
    softmax,
)
from edgemeta_export.rules.registry import RULES, rule

__all__ = [
    "RULES",
    "activation",
    "arithmetic",
    "conv",
    "gather",
    "loss",
    "onnx_graph",
    "pool",
    "product",
    "recurrent",
    "rule",
    "softmax",
]
