"""Bundles in scikit-learn's manner: fit, predict, score, with labels of any type."""

from edgemeta.estimators.classifier import FewShotClassifier
from edgemeta.estimators.regressor import FewShotRegressor

__all__ = ["FewShotClassifier", "FewShotRegressor"]
