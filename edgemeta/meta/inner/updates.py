"""The inner update: gradients to steps, with learned rates, momentum, Adam, decay and clipping.

Everything here is plain differentiable torch, so that meta-training can look through it, and the
compiler trace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from edgemeta.errors import InputError

Tensors = Mapping[str, Tensor]
Rates = float | Tensor | Tensors
"""Inner learning rates: one for all, or for each parameter a tensor whose axis 0 counts steps: (K,)
for one rate per step (LSLR: Antoniou et al. 2019, "How to train your MAML", section 4), (1, *shape)
for one per weight (Meta-SGD: Li et al. 2017), (K, *shape) for both. Beyond step K the last one
counts."""

FIRST, SECOND = "first", "second"  # moments, as in "mean of the gradients, of their squares"


@dataclass(frozen=True)
class Update:
    """How one inner step moves the parameters. The defaults are MAML's plain gradient descent.

    Attributes:
        kind: "sgd" (with momentum, if it is not 0) or "adam" (Kingma and Ba 2015, algorithm 1).
        momentum: of sgd: moment <- momentum * moment + gradient, as torch.optim.SGD has it.
        weight_decay: this times the parameter is added to its gradient.
        clip_norm: the gradients of all parameters together are scaled down to this norm.
        beta1: of adam.
        beta2: of adam.
        eps: of adam.
        eps_root: of adam, added under the root, whose slope at zero would make the meta-gradient
            infinite where a gradient vanishes (as optax.adam has it).

    Raises:
        InputError: a number is out of its range.
    """

    kind: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 1e-16  # the root of it is eps: no more than eps itself does to a step

    def __post_init__(self) -> None:
        if self.kind not in ("sgd", "adam"):
            raise InputError("unknown update", got=repr(self.kind), expected="sgd or adam")
        for name in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"{name} is out of range", got=getattr(self, name), expected="0..1"
                )
        for name, least in (("weight_decay", 0), ("eps_root", 0), ("eps", 1e-30)):
            if not least <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} is out of range", got=getattr(self, name))
        if self.clip_norm is not None and not 0 < self.clip_norm < float("inf"):
            raise InputError("clip_norm must be positive and finite", got=self.clip_norm)

    def start(self, params: Tensors) -> dict[str, Tensor]:
        """Return the moments before the first step: zeros, named `<moment>/<parameter>`."""
        kinds = (FIRST, SECOND) if self.kind == "adam" else (FIRST,) if self.momentum else ()
        return {
            f"{kind}/{name}": torch.zeros_like(p, requires_grad=False)
            for kind in kinds
            for name, p in params.items()
        }

    def apply(
        self, params: Tensors, grads: Tensors, lr: Rates, moments: Tensors, index: Tensor | int
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Take one step.

        Args:
            params: what moves.
            grads: of the support loss, by the same names.
            lr: learning rates.
            moments: of the step before.
            index: number of the step, from 0; () int64 or a plain number.

        Returns:
            The parameters and the moments after the step.
        """
        if self.weight_decay:
            grads = {name: g + self.weight_decay * params[name] for name, g in grads.items()}
        if self.clip_norm is not None:
            grads = _clipped(grads, self.clip_norm)
        directions, moments = self._directions(grads, moments, index)
        stepped = {
            name: p - rate_of(lr, name, index) * directions[name] for name, p in params.items()
        }
        return stepped, moments

    def _directions(
        self, grads: Tensors, moments: Tensors, index: Tensor | int
    ) -> tuple[Tensors, dict[str, Tensor]]:
        if self.kind == "adam":
            first, second = {}, {}
            for name, g in grads.items():
                first[name] = _average(moments[f"{FIRST}/{name}"], g, self.beta1)
                second[name] = _average(moments[f"{SECOND}/{name}"], g * g, self.beta2)
            unbias1, unbias2 = (1 - beta ** (index + 1) for beta in (self.beta1, self.beta2))
            directions = {
                n: first[n] / unbias1 / ((second[n] / unbias2 + self.eps_root).sqrt() + self.eps)
                for n in grads
            }
            return directions, _named(FIRST, first) | _named(SECOND, second)
        if self.momentum:
            first = {n: self.momentum * moments[f"{FIRST}/{n}"] + g for n, g in grads.items()}
            return first, _named(FIRST, first)
        return grads, {}


SGD = Update()
"""Plain gradient descent: MAML's inner step."""


def rate_of(lr: Rates, name: str, index: Tensor | int) -> Tensor | float:
    """Return the learning rate of a parameter in step `index`."""
    if not isinstance(lr, Mapping):
        return lr
    rates = lr[name]
    last = rates.shape[0] - 1
    if last == 0:
        return rates[0]
    if isinstance(index, int):
        return rates[min(index, last)]
    return rates.index_select(0, index.clamp(max=last).reshape(1)).squeeze(0)


def checked_rates(lr: Rates, params: Tensors) -> Rates:
    """Return learning rates as float32 tensors, or as one number.

    Raises:
        InputError: they do not fit the parameters, or are not finite; one number must be positive.
    """
    if not isinstance(lr, Mapping):
        if not 0 < float(lr) < float("inf"):
            raise InputError("inner_lr must be positive and finite", got=float(lr))
        return float(lr)
    if set(lr) != set(params):
        odd = ", ".join(sorted(set(lr) ^ set(params)))
        raise InputError("inner_lr has missing or unknown parameters", got=odd)
    rates = {name: torch.as_tensor(lr[name], dtype=torch.float32) for name in params}
    for name, rate in rates.items():
        shape = tuple(params[name].shape)
        fits = rate.ndim and len(rate) and tuple(rate.shape[1:]) in ((), shape)
        if not fits or not bool(torch.isfinite(rate).all()):
            raise InputError(
                f"inner_lr of {name} does not fit",
                got=f"shape {tuple(rate.shape)}",
                expected=f"finite, (steps,) or (steps, {', '.join(map(str, shape))})",
            )
    return rates


def _clipped(grads: Tensors, limit: float) -> dict[str, Tensor]:
    """Scale gradients down to a common norm, with torch.nn.utils.clip_grad_norm_'s formula."""
    norm = torch.stack([(g * g).sum() for g in grads.values()]).sum().sqrt()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    return {name: g * scale for name, g in grads.items()}


def _average(moment: Tensor, value: Tensor, beta: float) -> Tensor:
    return beta * moment + (1 - beta) * value


def _named(kind: str, moments: Tensors) -> dict[str, Tensor]:
    return {f"{kind}/{name}": moment for name, moment in moments.items()}
