"""Tensors that a model's Python code keeps from call to call, such as a cache of biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

OWN = frozenset(vars(nn.Module()))  # where PyTorch itself keeps a module's tensors


class KeptTensors:
    """What a model's calls leave in its attributes, to be dropped before the next call.

    An inner loop calls a model with other weights at each step: what an earlier step computed
    from its weights is wrong by then, and has the gradient of that step alone. A loss may read it
    after the call that made it, for example as an auxiliary term.

    Only attributes that held no tensor when this was made are touched.

    Args:
        model: a module.

    Example:
        kept = KeptTensors(model)
        model(x)  # self.cache["cpu"] = self.biases[:, self.index]
        kept.drop()  # self.cache == {}
    """

    def __init__(self, model: nn.Module) -> None:
        self._before = [
            (module, {name: _copied(value) for name, value in _attributes(module).items()})
            for module in model.modules()
            if not type(module).__module__.startswith("torch.nn.")  # they keep nothing
        ]

    def drop(self) -> None:
        """Give attributes that have come to hold a tensor their earlier values, or remove them."""
        for module, before in self._before:
            for name, value in _attributes(module).items():
                if not _holds_tensors(value) or _holds_tensors(before.get(name)):
                    continue
                if name in before:
                    setattr(module, name, _copied(before[name]))
                else:
                    delattr(module, name)


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name not in OWN}


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(isinstance(each, Tensor) for each in value)
    return isinstance(value, Tensor)


def _copied(value: Any) -> Any:
    """Return a copy of a dict or a list: a cache is filled in place."""
    return type(value)(value) if type(value) in (dict, list) else value
