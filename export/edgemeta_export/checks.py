"""What a model must not do, found before anything is lowered, with the layer that does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgemeta import bundle
from edgemeta.bundle.state import labels_text
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import BALANCED
from edgemeta.meta.inner.norms import takes_batch_statistics
from edgemeta.util.strict_json import short
from edgemeta_export.decompose import can_be_lowered
from edgemeta_export.layers import LayerMode
from edgemeta_export.program import AtenProgram


def check_state(loop: InnerLoop) -> None:
    """Refuse, all at once, tensors that a bundle's state cannot hold.

    Raises:
        UnsupportedModelError: a name is one of the graphs' own, or a tensor is not float32.
    """
    init = loop.init()
    state = init.params | init.buffers
    if taken := sorted(bundle.RESERVED & set(state)):
        raise UnsupportedModelError(
            "parameters have names that the graphs use themselves",
            got=", ".join(taken),
            hint="rename them",
        )
    if odd := [f"{n} ({t.dtype})" for n, t in state.items() if t.dtype != torch.float32]:
        raise UnsupportedModelError(
            "the adapted tensors must be float32", got=", ".join(odd), hint="call model.float()"
        )


def check_buffers(loop: InnerLoop, x: Tensor) -> None:
    """Refuse a forward pass that changes buffers: a bundle would silently leave them as they are.

    Raises:
        UnsupportedModelError: a buffer other than a norm's statistics is written or replaced.
    """
    init = loop.init()
    tensors = {**init.params, **init.buffers, **{n: t.clone() for n, t in init.frozen.items()}}
    before = {name: (id(tensors[name]), tensors[name]._version) for name in init.frozen}
    with torch.no_grad():
        functional_call(loop.model, tensors, (x,))
    changed = [n for n, was in before.items() if (id(tensors[n]), tensors[n]._version) != was]
    if changed:
        raise UnsupportedModelError(
            "the model changes buffers in its forward pass",
            got=", ".join(changed),
            hint="leave the update out in eval mode; only batch norm's statistics adapt",
        )


def least_support(loop: InnerLoop, x: Tensor) -> int:
    """Return how many samples an adaptation needs: 2 where one leaves a batch norm one value.

    Args:
        loop: the inner loop.
        x: (S, *input_shape) example samples.
    """
    alone: list[str] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels_first = inputs[0]
        if channels_first.numel() == channels_first.shape[1]:
            alone.append(type(module).__name__)

    norms = [m for m in loop.model.modules() if takes_batch_statistics(m)]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        with torch.no_grad():
            loop.predict(loop.init(), x[:1])
    except ValueError:  # nn.BatchNorm in training mode says it itself
        return 2
    finally:
        for hook in hooks:
            hook.remove()
    return 2 if alone else 1


def check_slices(loop: InnerLoop, x: Tensor, y: Tensor) -> None:
    """Refuse what slices of a support set, taken one after the other, would change.

    Args:
        loop: the inner loop.
        x: (S, *input_shape) example samples, S >= 2.
        y: (S,) labels or (S, *target_shape) targets.

    Raises:
        InputError: there is only one example.
        UnsupportedModelError: a norm takes statistics over samples, or the loss is not their mean.
    """
    if len(x) < 2:
        raise InputError("`chunk` needs examples to check it with", got=1, expected="2 or more")
    if norms := [n for n, m in loop.model.named_modules() if takes_batch_statistics(m)]:
        raise UnsupportedModelError(
            "slices of the support set would have other statistics",
            got=f"norms over samples: {', '.join(norms)}",
            hint="leave `chunk` out, or use group norm",
        )
    if loop.loss in BALANCED:
        return
    state = loop.grow_for(loop.init(), y)
    first = (len(x) + 2) // 3
    with torch.no_grad():
        parts = [
            loop.finish(state, x[part], y[part])[1] * len(x[part]) / len(x)
            for part in (slice(first), slice(first, None))
        ]
        whole, total = loop.finish(state, x, y)[1], sum(parts)
    if not torch.isclose(torch.as_tensor(total), whole, rtol=1e-3, atol=1e-6):
        raise UnsupportedModelError(
            "slices of the support set would have another loss",
            got=f"{float(total):.6g} in two parts, {float(whole):.6g} at once",
            expected="a mean over samples",
            hint="leave `chunk` out",
        )


def check_ops(program: AtenProgram, loop: InnerLoop, x: Tensor, y: Tensor) -> None:
    """Refuse, all at once, the ops that have neither a translation nor a rule.

    Args:
        program: the traced inner step: it holds every op of the forward and the backward pass.
        loop: the inner loop that it was traced from.
        x: (S, *input_shape) example samples.
        y: (S,) labels or (S, *target_shape) targets.

    Raises:
        UnsupportedModelError: names each op and the layers that it comes from.
    """
    used = {n.target for n in program.graph.nodes if n.op == "call_function"}
    missing = {target for target in used if not can_be_lowered(target)}
    if not missing:
        return
    layers = layers_using(missing, loop, x, y)
    named = [f"{op} (in {', '.join(layers.get(op, ['the loss']))})" for op in missing]
    raise UnsupportedModelError(
        "these ops cannot be lowered to ONNX yet",
        got="; ".join(sorted(named)),
        hint="replace the layers, or add a rule: see docs/adding-a-rule.md",
    )


def layers_using(
    targets: Iterable[Any], loop: InnerLoop, x: Tensor, y: Tensor
) -> dict[Any, list[str]]:
    """Find the layers whose forward or backward pass runs some ops, by taking one inner step.

    Returns:
        For each op that was met, the names of the layers; "model" for what happens outside of any
        submodule.
    """
    watch = _Watch(loop.model, set(targets))
    with watch.watching():
        loop.step(loop.grow_for(loop.init(), y).as_leaves(), x, y, 0.1)
    return watch.found


class _Watch(LayerMode):  # type: ignore[no-untyped-call]
    """Notes in which layers some ops run."""

    def __init__(self, model: nn.Module, targets: set[Any]) -> None:
        super().__init__(model)
        self.targets = targets
        self.found: dict[Any, list[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self.targets:
            layers, layer = self.found.setdefault(func, []), self.layer()
            if layer is not None and layer not in layers:
                layers.append(layer)
        return func(*args, **(kwargs or {}))


def checked_labels(
    labels: Sequence[str] | None, ways: int | None, loop: InnerLoop
) -> tuple[str, ...] | None:
    """Return the names of all classes of a head of fixed width; None without names.

    Raises:
        InputError: the head is shared, the task has no classes, or they are not as many different
            texts as the head has classes, or one that no manifest can hold.
    """
    if labels is None:
        return None
    if ways is None or loop.per_class:
        raise InputError(
            "labels are for a head whose classes mean the same in every task",
            got="a shared head" if loop.per_class else "regression",
            expected="classification with a head such as torch.nn.Linear",
            hint="leave labels out",
        )
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise InputError("labels are no list of texts", got=short(repr(labels)))
    if len(labels) != ways:
        raise InputError(
            "labels do not fit the model",
            got=f"{len(labels)}: {short(', '.join(labels))}",
            expected=f"{ways}, one for each output",
        )
    labels_text(labels)  # a manifest holds what a state file does
    return tuple(map(str, labels))
