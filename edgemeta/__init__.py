"""edgemeta: PyTorch meta-trains and differentiates, edgemeta lowers, stock ONNX Runtime adapts.

runner = edgemeta.Runner("bundle")
learner = runner.adapt(support_x, support_y)
learner.predict(query_x)

`load` opens a bundle that comes with the package: edgemeta.load("omniglot").
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgemeta.errors import (
    AdaptationError,
    BundleError,
    EdgemetaError,
    InputError,
    ParityError,
    TrainingError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    from edgemeta.packaged import load
    from edgemeta.runner import Learner, Runner

# From 1.29 on, onnxruntime's own builds send telemetry from the moment that they are imported, and
# keep an id of the device in the user's cache. Nothing leaves a device on our account.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "AdaptationError",
    "BundleError",
    "EdgemetaError",
    "InputError",
    "Learner",
    "ParityError",
    "Runner",
    "TrainingError",
    "UnsupportedModelError",
    "load",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that `edgemeta --help` does not wait for onnxruntime.
    if name in ("Runner", "Learner"):
        return getattr(import_module("edgemeta.runner"), name)
    if name == "load":
        return import_module("edgemeta.packaged").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
