"""Passes over the traced graph of ATen ops, one per file; `edgemeta_export.trace` runs them."""

from edgemeta_export.aten_passes.fold_rate import fold_rate
from edgemeta_export.aten_passes.sink_relu import sink_relu

__all__ = ["fold_rate", "sink_relu"]
