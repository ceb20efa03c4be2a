"""Which layer of a model an op belongs to: forward by hooks, backward by the owner of its node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.fx import Node
from torch.fx import traceback as fx_traceback

from edgemeta.meta.torch_private import TorchDispatchMode, current_autograd_node

LABEL = "edgemeta_layer"


class LayerMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every op while a model runs, is differentiated, and moves.

    Use `watching` to enter it.

    Args:
        model: its submodules are the layers.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = {m: name or "model" for name, m in model.named_modules()}
        self._inside: list[str] = []
        self._owners: dict[Any, str] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch whatever runs within."""
        hooks = [module.register_forward_pre_hook(self._enter) for module in self._names]
        hooks += [module.register_forward_hook(self._leave) for module in self._names]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def layer(self) -> str | None:
        """Return the name of the layer that runs, or is differentiated; None outside of all."""
        if self._inside:
            return self._inside[-1]
        return self._owners.get(current_autograd_node())

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._inside.append(self._names[module])

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Take the backward nodes behind `output` that no inner layer has taken yet."""
        layer = self._inside.pop()
        outputs: Sequence[Any] = output if isinstance(output, tuple | list) else [output]
        waiting = [tensor.grad_fn for tensor in outputs if isinstance(tensor, Tensor)]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in self._owners:
                self._owners[node] = layer
                waiting.extend(following for following, _ in node.next_functions)


class LabelMode(LayerMode):  # type: ignore[no-untyped-call]
    """Lets the tracer note at each node what it belongs to; see `label_of`.

    A label is the name of a layer, with `/grad` for its backward pass; `loss` and `loss/grad`;
    `start` before the model runs and `update` after its gradient is there.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._phase = "start"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        backward = current_autograd_node() is not None
        layer = self.layer()
        if backward:
            self._phase = "update"
            label = f"{layer or 'loss'}/grad"
        else:
            if layer is not None:
                self._phase = "loss"
            label = layer or self._phase
        with fx_traceback.annotate({LABEL: label}):
            return func(*args, **(kwargs or {}))


def label_of(node: Node) -> str | None:
    """Return what a traced node belongs to; None where it is not known."""
    found = node.meta.get("custom", {}).get(LABEL)
    return None if found is None else str(found)
