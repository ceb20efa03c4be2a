"""The hash of a network's weights."""

from __future__ import annotations

import hashlib

from torch import Tensor, nn

from edgemeta.meta.models.onnx_module import OnnxModule


def weights_digest(module: nn.Module) -> str:
    """Return the sha256 of a module's weights, those of ONNX files included.

    Runs and bundles record it of their body: it stays the same whatever becomes of the code, of
    torch, and of buffers that no checkpoint has.

    Example:
        sha256 = weights_digest(make_body("speech", TensorSpec((20480,), "int16")))
    """
    found = hashlib.sha256()
    for name, part in module.named_modules():
        if isinstance(part, OnnxModule):
            found.update(f"{name} {part.graph.key}".encode())
    for name, tensor in sorted(module.state_dict().items()):
        found.update(name.encode())
        found.update(tensor_bytes(tensor))
    return found.hexdigest()


def tensor_bytes(tensor: Tensor) -> bytes:
    """Return the content of a tensor."""
    return tensor.detach().cpu().contiguous().numpy().tobytes()
