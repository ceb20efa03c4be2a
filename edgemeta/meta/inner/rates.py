"""Inner learning rates that the outer loop learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from edgemeta.meta.inner.updates import Rates

LearnedRates = Literal["fixed", "tensor", "step", "weight", "step-weight"]
RATES: tuple[LearnedRates, ...] = get_args(LearnedRates)


def start_rates(
    kind: LearnedRates, params: Mapping[str, Tensor], inner_lr: float, steps: int
) -> Rates:
    """Return the inner rates that training starts from, all equal to `inner_lr`.

    Args:
        kind: "fixed" gives one number; the others a parameter for each of `params`: "tensor" (1,),
            "step" (steps,) as LSLR (Antoniou et al. 2019, section 4), "weight" (1, *shape) as
            Meta-SGD (Li et al. 2017, equation 3), "step-weight" (steps, *shape).
        params: what adapts, by name.
        inner_lr: where each rate starts.
        steps: inner steps; in a longer adaptation the last one's rates go on.
    """
    if kind == "fixed":
        return inner_lr
    axis = steps if kind in ("step", "step-weight") else 1
    return {
        name: nn.Parameter(
            torch.full(
                (axis, *(p.shape if kind in ("weight", "step-weight") else ())),
                inner_lr,
                device=p.device,
            )
        )
        for name, p in params.items()
    }


def learned(rates: Rates) -> tuple[Tensor, ...]:
    """Return the tensors of inner rates that the outer loop moves; none where they are fixed."""
    return () if isinstance(rates, float | Tensor) else tuple(rates.values())
