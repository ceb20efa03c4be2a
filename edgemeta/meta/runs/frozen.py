"""What is frozen in front of an inner loop, computed once per sample."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.norms import takes_batch_statistics
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.models.split import SIZES, Split, split_frozen
from edgemeta.meta.runs.building import BODY
from edgemeta.tasks import TaskSource


def behind_frozen(
    loop: InnerLoop,
    trained: Collection[str],
    cache: FeatureCache,
    device: torch.device,
    *,
    looks: int | None = None,
) -> tuple[InnerLoop, TaskSource]:
    """Return a loop and a source that leave out what is frozen in front.

    Training, evaluation and export cut a model in the same place, so that they share one file.

    Args:
        loop: around the whole model, on the device.
        trained: names of the parameters that meta-training moves, beside those that adapt.
        cache: of a source of raw samples.
        device: where to compute.
        looks: see `FeatureCache.behind`.

    Returns:
        A loop around the rest of the model, and a source of features; the
        loop itself and the source of raw samples where that leaves nothing out.
    """
    as_it_is = loop, cache.source
    moving = {*loop.adapted, *trained}
    if not _has_more(loop.model, moving) or (first := cache.first(max(SIZES))) is None:
        return as_it_is
    x = torch.from_numpy(first).to(device)
    split = _behind_body(loop.model, moving) or split_frozen(loop.model, moving, x)
    if split is None or not _has_more(split.front, ()):
        return as_it_is
    source = cache.behind(split.front, device, looks=looks)
    if source is None:
        return as_it_is
    rest = split.rest
    if isinstance(loop.model, FewShotModel) and not isinstance(rest, FewShotModel):
        rest = _few_shot(rest, loop.model.head, split.front(x).detach())
    return InnerLoop(rest, loop.loss, loop.adapted, loop.update), source


def _behind_body(model: nn.Module, moving: Collection[str]) -> Split | None:
    """Cut a model with a frozen body right behind it, where the neck has had its features."""
    if not isinstance(model, BodyModel):
        return None
    if any(name.startswith(BODY) for name in moving):
        return None
    if any(takes_batch_statistics(module) for module in model.body.modules()):
        return None
    return Split(model.body, BodyModel(nn.Identity(), model.neck, model.head).eval())


def _has_more(module: nn.Module, names: Collection[str]) -> bool:
    """Whether a module computes something with weights beside those of these names."""
    return any(name not in names for name, _ in module.named_parameters()) or any(
        isinstance(part, OnnxModule)  # whose weights are no parameters
        for part in module.modules()
    )


class _Rest(FewShotModel):
    """What is behind the features, itself as features in front of a head."""

    def __init__(
        self, rest: nn.Module, head: nn.Linear | SharedHead, front: nn.Module, read: nn.Module
    ) -> None:
        super().__init__()
        for name, child in rest.named_children():
            self.add_module(name, child)
        self.head = head
        self._parts = front, read  # a tuple: their layers are registered above, under their names

    def features(self, x: Tensor) -> Tensor:
        """Map features of the body to those that the head reads, (N, D)."""
        features: Tensor = self._parts[0](x)
        return features

    def read(self, features: Tensor) -> Tensor:
        """Map features (N, D) to outputs (N, outputs)."""
        output: Tensor = self._parts[1](features)
        return output


def _few_shot(rest: nn.Module, head: nn.Linear | SharedHead, x: Tensor) -> nn.Module:
    """Return the rest of a few-shot model as one; as it is where its head cannot be told apart."""
    own = dict(rest.named_parameters())
    names = [name for name in own if name.startswith("head.")]
    split = split_frozen(rest, names, x)
    if split is not None:
        front, read = split
    elif len(names) == len(own):
        front, read = nn.Identity(), rest
    else:
        return rest
    if tuple(front(x).shape) != (len(x), head.in_features):
        return rest
    return _Rest(rest, head, front, read).eval()
