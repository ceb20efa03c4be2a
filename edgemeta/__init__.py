"""edgemeta: PyTorch meta-trains and differentiates, edgemeta lowers, stock ONNX Runtime adapts.

runner = edgemeta.Runner("bundle")
learner = runner.adapt(support_x, support_y)
learner.predict(query_x)

`load` opens a bundle that comes with the package: edgemeta.load("omniglot"). `read_support` and
`read_samples` read pictures, recordings and tables for a bundle. `FewShotClassifier`
and `FewShotRegressor` are bundles as estimators, with labels of any type: fit, predict, score.

On a desk with PyTorch, `meta_train` trains any module, and `export` makes a bundle of the run.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgemeta.errors import (
    BundleError,
    EdgemetaError,
    InputError,
    NotFittedError,
    ParityError,
    TrainingError,
    UnsupportedModelError,
)

if TYPE_CHECKING:
    from edgemeta.data.samples import read_samples, read_support
    from edgemeta.device.guard import AdaptationError
    from edgemeta.device.learner import Learner
    from edgemeta.device.packaged import load
    from edgemeta.device.runner import Runner
    from edgemeta.estimators.classifier import FewShotClassifier
    from edgemeta.estimators.regressor import FewShotRegressor
    from edgemeta.meta.api import meta_train
    from edgemeta.meta.models.onnx_module import OnnxModule
    from edgemeta_export import GraphForm, export, export_bundle

# From 1.29 on, onnxruntime's own builds send telemetry from the moment that they are imported, and
# keep an id of the device in the user's cache. Nothing leaves a device on our account.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = [
    "AdaptationError",
    "BundleError",
    "EdgemetaError",
    "FewShotClassifier",
    "FewShotRegressor",
    "GraphForm",
    "InputError",
    "Learner",
    "NotFittedError",
    "OnnxModule",
    "ParityError",
    "Runner",
    "TrainingError",
    "UnsupportedModelError",
    "export",
    "export_bundle",
    "load",
    "meta_train",
    "read_samples",
    "read_support",
]


_PLACES = {
    "AdaptationError": "edgemeta.device.guard",
    "FewShotClassifier": "edgemeta.estimators.classifier",
    "FewShotRegressor": "edgemeta.estimators.regressor",
    "GraphForm": "edgemeta_export",
    "Learner": "edgemeta.device.learner",
    "OnnxModule": "edgemeta.meta.models.onnx_module",
    "Runner": "edgemeta.device.runner",
    "export": "edgemeta_export",
    "export_bundle": "edgemeta_export",
    "load": "edgemeta.device.packaged",
    "meta_train": "edgemeta.meta.api",
    "read_samples": "edgemeta.data.samples",
    "read_support": "edgemeta.data.samples",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that `edgemeta --help` does not wait for onnxruntime.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
