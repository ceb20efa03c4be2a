"""How exactly a GPU computes."""

from __future__ import annotations

import torch


def prepare_gpu(precision: str) -> None:
    """Let this process compute as exactly as was asked for, and repeat itself.

    Args:
        precision: "tf32" lets products and convolutions round their factors to 10 bits; without
            it they are float32, also the convolutions, for which PyTorch would take tf32.
    """
    products = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
