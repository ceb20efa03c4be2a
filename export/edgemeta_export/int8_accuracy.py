"""What quantizing costs: accuracy on validation episodes before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Evaluation, evaluate
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.updates import SGD, Rates, Update
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.models.features import on_features
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import EpisodeSize, TaskSource

EPISODES = 300
QUERIES = 15, 5, 1  # samples of each class that are predicted: as many as the part has


class Setting(NamedTuple):
    """How a model adapts to an episode.

    Attributes:
        adapt: what adapts, see `InnerLoop`.
        update: how.
        rates: the inner rates.
        steps: inner steps.
        size: of an episode; its queries are as many as the part has.
    """

    adapt: Sequence[str]
    update: Update = SGD
    rates: Rates = 1.0
    steps: int = 1
    size: EpisodeSize = EpisodeSize()


def before_and_after(
    plain: nn.Module, quantized: nn.Module, source: TaskSource, setting: Setting
) -> dict[str, Any]:
    """Evaluate a model and its quantized form on the same episodes of the validation part.

    Returns:
        The record for the manifest: the metric of both, and what of; with neither where the part is
        too small.
    """
    found = {
        name: validated(model, source, setting)
        for name, model in (("float32", plain), ("int8", quantized))
    }
    known = {name: each for name, each in found.items() if each is not None}
    if not known:
        return {"split": "val", "episodes": 0}
    one = known["int8"]
    scores = {name: each.mean for name, each in known.items()}
    return {"metric": one.metric, **scores, "split": "val", "episodes": one.episodes}


def validated(model: nn.Module, source: TaskSource, setting: Setting) -> Evaluation | None:
    """Evaluate on episodes of the validation part; None where it is too small.

    The features of a body are computed once for each sample.
    """
    if isinstance(model, BodyModel):
        features = on_features(source, model.body, torch.device("cpu"))
        if features is not None:
            source, model = features, BodyModel(nn.Identity(), model.neck, model.head)
    adapter = TorchAdapter(
        InnerLoop(model.eval(), LOSSES[source.kind], setting.adapt, setting.update),
        input=TensorSpec(tuple(source.input_shape), source.input_dtype.name),
        ways=setting.size.ways if source.kind == "classification" else None,
        inner_steps=setting.steps,
        inner_lr=setting.rates,
    )
    for queries in QUERIES:
        size = replace(setting.size, queries=queries)
        try:
            return evaluate(adapter, source, size, episodes=EPISODES, seed=0, split="val")
        except InputError:
            continue
    return None
