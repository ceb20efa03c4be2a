"""Changed copies of training samples: what a sample may become and still be of its class."""

from edgemeta.meta.augment.augmentation import Augmentation, make_augmentation
from edgemeta.meta.augment.table import FUNCTIONS, auto_names

__all__ = ["FUNCTIONS", "Augmentation", "auto_names", "make_augmentation"]
