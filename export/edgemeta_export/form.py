"""How the graphs of a bundle are written; whatever the form, they compute the same."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edgemeta.errors import InputError
from edgemeta_export.lowered_loop import LOWERINGS
from edgemeta_export.passes import PASSES
from edgemeta_export.rules.registry import OPSET

OPTIMIZATIONS = (*LOWERINGS, *PASSES)
"""What a form may leave out: it makes adaptation faster, and changes nothing else."""


@dataclass(frozen=True)
class GraphForm:
    """How the graphs of a bundle are written.

    Attributes:
        chunk: take the support set in slices of so many samples, whose gradients add up to the
            same step: the memory of an adaptation is then that of one slice. Needs a loss that is
            a mean over samples. None takes all samples at once.
        unroll: write `inner_steps` steps out one after the other; a device that asks for another
            number takes the Loop, as it does without. The graph is larger by the steps.
        opset: ONNX opset of both graphs; older ones, down to 17, serve older runtimes.
        without: optimizations to leave out (names in `OPTIMIZATIONS`), to find what one does.

    Raises:
        InputError: `chunk` is not positive, or an optimization is unknown.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> from torch import nn
        >>> x, form = np.eye(4, 3, dtype=np.float32), edgemeta.GraphForm(unroll=True, opset=17)
        >>> settings = {"inner_lr": 0.1, "inner_steps": 2, "form": form}
        >>> path = edgemeta.export_bundle(nn.Linear(3, 2), "unrolled", x, **settings)
        >>> edgemeta.Runner(path).manifest.opset
        17
    """

    chunk: int | None = None
    unroll: bool = False
    opset: int = OPSET
    without: Collection[str] = ()

    def __post_init__(self) -> None:
        if odd := sorted(set(self.without) - set(OPTIMIZATIONS)):
            known = ", ".join(OPTIMIZATIONS)
            raise InputError(
                "unknown optimization", got=", ".join(odd), expected=f"some of {known}"
            )
        if self.chunk is not None and self.chunk < 1:
            raise InputError("chunk is too small", got=self.chunk, expected="at least 1")


USUAL_FORM = GraphForm()
