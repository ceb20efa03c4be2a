"""The outer loop: how an init is learned from many tasks."""

from edgemeta.meta.outer.trainer import Trainer

__all__ = ["Trainer"]
