"""Models: networks of ours, pre-trained bodies, somebody's ONNX file; necks and heads for them."""

from edgemeta.meta.models.neck import CenteredCosine
from edgemeta.meta.models.networks import MODELS, build_model
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.parts import FewShotModel

__all__ = ["MODELS", "CenteredCosine", "FewShotModel", "OnnxModule", "build_model"]
