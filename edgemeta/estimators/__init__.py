"""Bundles as scikit-learn estimators: fit, predict, score, with labels of any type."""

from edgemeta.estimators.classifier import FewShotClassifier
from edgemeta.estimators.regressor import FewShotRegressor

__all__ = ["FewShotClassifier", "FewShotRegressor"]
