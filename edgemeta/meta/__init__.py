"""Meta-training on the desk: inner loop, outer loop, models, runs (torch)."""

import sys
from importlib import import_module

from edgemeta.meta.inner import InnerLoop, Rates, SharedHead, State, Update
from edgemeta.meta.models import CenteredCosine, OnnxModule, build_model

__all__ = [
    "CenteredCosine",
    "InnerLoop",
    "OnnxModule",
    "Rates",
    "SharedHead",
    "State",
    "Update",
    "build_model",
]

# Where documents that are older than the rooms say that these are.
for _old, _new in {
    "low_rank": "inner.low_rank",
    "neck": "models.neck",
    "onnx_module": "models.onnx_module",
    "shared_head": "inner.shared_head",
    "updates": "inner.updates",
}.items():
    sys.modules[f"{__name__}.{_old}"] = import_module(f"{__name__}.{_new}")
