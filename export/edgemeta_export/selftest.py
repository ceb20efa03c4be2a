"""The recorded episode that `edgemeta verify` replays on any runtime."""

from __future__ import annotations

import torch
from safetensors.numpy import save
from torch import Tensor

from edgemeta import bundle
from edgemeta.meta.inner import InnerLoop


def record(
    loop: InnerLoop, task: str, x: Tensor, y: Tensor, query_x: Tensor, *, steps: int, lr: float
) -> bytes:
    """Adapt with PyTorch and write down everything that a runtime has to reproduce.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        x: (S, *input_shape) support samples.
        y: (S,) labels or (S, *target_shape) targets.
        query_x: (Q, *input_shape).
        steps: inner steps.
        lr: inner learning rate.

    Returns:
        The content of `selftest.safetensors`.
    """
    state = loop.init()
    losses = []
    for _ in range(steps):
        state, loss = loop.step(state.as_leaves(), x, y, lr)
        losses.append(loss.detach())
    with torch.no_grad():
        state, loss = loop.finish(state, x, y)
        output = loop.predict(state, query_x)
    tensors = {
        bundle.SUPPORT_X: x,
        bundle.SUPPORT_Y: y,
        bundle.QUERY_X: query_x,
        bundle.LOSSES: torch.stack([*losses, loss]),
        bundle.prediction_name(task): output,
    }
    tensors |= {bundle.next_name(n): t.detach() for n, t in (state.params | state.buffers).items()}
    content: bytes = save(
        {name: tensor.contiguous().numpy() for name, tensor in tensors.items()},
        {bundle.STEPS: str(steps), bundle.LR_SCALE: "1.0"},
    )
    return content
