"""Where a training computes, and how exactly."""

from __future__ import annotations

import os

import torch

from edgemeta.errors import InputError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")
CPU = torch.device("cpu")


def choose_device(name: str) -> torch.device:
    """Return the device of this process.

    Args:
        name: "auto", "cpu" or "cuda". Of the GPUs of a machine, each process that `torchrun` starts
            there takes one of its own; if there are more processes, they share.

    Raises:
        InputError: there is no such device.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda", got="no CUDA device", hint="use --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return CPU
    own = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", own % torch.cuda.device_count())


def prepare_gpu(device: torch.device, precision: str) -> None:
    """Let this process compute on a GPU, as exactly as was asked for, and repeat itself.

    Args:
        device: one of CUDA, on which everything is from now on that names none.
        precision: "tf32" lets products and convolutions round their factors to 10 bits; without
            it they are float32, also the convolutions, for which PyTorch would take tf32.
    """
    products = "tf32" if precision == "tf32" else "ieee"
    torch.cuda.set_device(device)
    torch.backends.cuda.matmul.fp32_precision = products
    torch.backends.cudnn.conv.fp32_precision = products  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = True
