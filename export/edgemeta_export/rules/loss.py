"""Losses: negative log likelihood, forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from edgemeta_export.rules.registry import constant, op, rule

aten = torch.ops.aten

NONE, MEAN, SUM = 0, 1, 2  # aten's numbers for `reduction`


@rule(aten.nll_loss_forward.default)
def nll_loss_forward(
    log_probs: Any, target: Any, weight: Any, reduction: int, ignore_index: int
) -> tuple[Any, Any]:
    """Negative log likelihood, and the total weight that its mean divides by.

    The labels' one-hot does not change between inner steps: written like this, it leaves the Loop.

    Shapes: log_probs (N, C), target (N,) int64, weight (C,) or None -> () or (N,), and ().
    """
    weights = _weights(log_probs, target, weight, ignore_index)
    total = op.ReduceSum(weights, keepdims=0)
    if reduction == MEAN:
        weights = op.Div(weights, total)  # leaves the Loop as well
    axes = constant([1]) if reduction == NONE else None
    return op.ReduceSum(op.Mul(op.Neg(weights), log_probs), axes, keepdims=0), total


@rule(aten.nll_loss_backward.default)
def nll_loss_backward(
    grad_output: Any,
    log_probs: Any,
    target: Any,
    weight: Any,
    reduction: int,
    ignore_index: int,
    total_weight: Any,
) -> Any:
    """Gradient of `nll_loss_forward` with respect to the log probabilities.

    Shapes: grad_output () or (N,), log_probs (N, C), target (N,), total_weight () -> (N, C).
    """
    weights = _weights(log_probs, target, weight, ignore_index)
    if reduction == MEAN:
        weights = op.Div(weights, total_weight)
    elif reduction != SUM:
        grad_output = op.Unsqueeze(grad_output, constant([1]))  # (N,) -> (N, 1)
    return op.Mul(weights, op.Neg(grad_output))


def _weights(log_probs: Any, target: Any, weight: Any, ignore_index: int) -> Any:
    """(N, C): the weight of each sample at its label, 0 elsewhere."""
    # (N,) -> (N, 1) against (C,) -> (N, C)
    classes = _classes(log_probs, ignore_index)
    chosen = op.Equal(op.Unsqueeze(target, constant([1])), classes)
    chosen = op.CastLike(chosen, log_probs)
    return chosen if weight is None else op.Mul(chosen, weight)


def _classes(log_probs: Any, ignore_index: int) -> Any:
    """(C,) int64: the number of each class; -1, which equals no label, for an ignored one."""
    count = log_probs.shape[1]
    if isinstance(count, int):
        known = np.arange(count)
        known[known == ignore_index] = -1
        return constant(known)
    # A shared head has as many classes as the task.
    size = op.Squeeze(op.Shape(log_probs, start=1, end=2))
    classes = op.Range(constant(0), size, constant(1))
    if ignore_index < 0:
        return classes
    return op.Where(op.Equal(classes, constant(ignore_index)), constant(-1), classes)
