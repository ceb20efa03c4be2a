"""Passes over the traced graph of ATen ops, one per file; `edgemeta_export.trace` runs them."""

from edgemeta_export.aten_passes.bias_sums import bias_sums
from edgemeta_export.aten_passes.fold_rate import fold_rate
from edgemeta_export.aten_passes.join_pads import join_pads
from edgemeta_export.aten_passes.plain_ops import plain_ops
from edgemeta_export.aten_passes.plain_softmax import plain_softmax
from edgemeta_export.aten_passes.sink_relu import sink_relu
from edgemeta_export.aten_passes.sizes import sizes

__all__ = [
    "bias_sums",
    "fold_rate",
    "join_pads",
    "plain_ops",
    "plain_softmax",
    "sink_relu",
    "sizes",
]
