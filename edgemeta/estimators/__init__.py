"""Bundles in scikit-learn's manner: fit, predict, score, with labels of any type."""
