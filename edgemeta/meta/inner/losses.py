"""The support loss of each kind of task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Task = Literal["classification", "regression"]
Loss = Callable[[Tensor, Tensor], Tensor]
OUT_OF_REACH = 1e9  # subtracted from a logit: far beyond what exp can see, far from overflow


def balanced_cross_entropy(output: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross entropy in which classes count alike, however many samples each of them has.

    The mean over classes of the mean over a class's samples. Where all have the same number, as in
    the episodes of a training, it is the mean over samples. A user's support set is seldom like
    that; with the mean over samples, one step from a head of zeros would then leave the logits of
    a class the lower the fewer samples it has, until every query is taken for the largest class.

    Args:
        output: (S, C) logits.
        y: (S,) int64 labels.
        weights: (C,) what `class_weights` returned, where these samples are a part of a support
            set: the losses of all parts then add up to that of the whole.

    Returns:
        ().
    """
    weights = class_weights(y, output.shape[-1], output.dtype) if weights is None else weights
    return nn.functional.cross_entropy(output, y, weight=weights, reduction="sum")


def shown_cross_entropy(output: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
    """`balanced_cross_entropy` over the classes that a support set shows.

    Where labels keep their meaning, a class without a sample is one that the user did not show, not
    one that these samples are evidence against. Its logits take no part, so no step pushes them
    down. Where all classes are shown both losses are the same. Source: Caccia et al. 2022, "New
    Insights on Reducing Abrupt Representation Change in Online Continual Learning", equation 4.

    The arguments are those of `balanced_cross_entropy`.
    """
    weights = class_weights(y, output.shape[-1], output.dtype) if weights is None else weights
    absent = (weights == 0).to(output.dtype)
    return balanced_cross_entropy(output - OUT_OF_REACH * absent, y, weights)


def class_weights(y: Tensor, ways: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return what one sample of each class counts, (C,): 1 / (its samples * classes with samples).

    Args:
        y: (S,) int64 labels of a whole support set.
        ways: C, classes of the head.
        dtype: of the weights.
    """
    classes = torch.arange(ways, device=y.device)
    samples = (y[:, None] == classes).to(dtype).sum(0)  # (S, C) -> (C,)
    here = samples.clamp(max=1)
    return here / (samples.clamp(min=1) * here.sum())


BALANCED: tuple[Loss, ...] = (balanced_cross_entropy, shown_cross_entropy)
"""Losses that take what `class_weights` returns for the whole support set of a slice."""

LOSSES: dict[str, Loss] = {
    "classification": balanced_cross_entropy,
    "regression": nn.functional.mse_loss,
}
"""The support loss of each task kind. Means, not sums: an inner_lr of 0.4 on the loss of cbfinn's
code, which sums five classes after dividing by shots, is 2.0 here."""
