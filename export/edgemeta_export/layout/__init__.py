"""Images as rows of channels, or as strips: layouts in which convolutions that learn are fast.

`LayoutInterpreter` runs between two traces (see `edgemeta_export.trace`). `values` says how a
tensor may lie, `components` which tensors agree on an order of pixels; `convolution`,
`pool_windows` and `norm` compute on rows, `strip` on strips, `handlers` says which op goes where.
"""

from edgemeta_export.layout import handlers
from edgemeta_export.layout.components import NORM_BACKWARDS, has_images
from edgemeta_export.layout.interpreter import LayoutInterpreter

LAID_OUT = frozenset(NORM_BACKWARDS)
"""Ops that the trace before it must not take apart."""

__all__ = ["LAID_OUT", "LayoutInterpreter", "handlers", "has_images"]
