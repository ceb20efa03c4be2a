"""What quantizing costs: accuracy on validation episodes before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from torch import nn

from edgemeta.bundle import QuantizationResult
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Evaluation, evaluate
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.updates import SGD, Rates, Update
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.runs.adapter import TorchAdapter, samples_of
from edgemeta.meta.runs.devices import CPU
from edgemeta.meta.runs.frozen import behind_frozen
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks.source import input_of

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
    plain: nn.Module,
    quantized: nn.Module,
    cache: FeatureCache,
    setting: Setting,
    *,
    before: Evaluation | None = None,
) -> QuantizationResult:
    """Evaluate a model and its quantized form on the same episodes of the validation part.

    Args:
        plain: the model.
        quantized: its other form.
        cache: of the data.
        setting: how they adapt.
        before: what `validated` says of the plain model, where that is known.

    Returns:
        The record for the manifest, without scores where the part is too small.
    """
    found = {
        "float32": before or validated(plain, cache, setting),
        "int8": validated(quantized, cache, setting),
    }
    known = {name: each for name, each in found.items() if each is not None}
    if not known:
        return QuantizationResult("val", 0)
    one = known["int8"]
    scores = {name: each.mean for name, each in known.items()}
    return QuantizationResult("val", one.episodes, one.metric, **scores)


def validated(model: nn.Module, cache: FeatureCache, setting: Setting) -> Evaluation | None:
    """Evaluate on episodes of the validation part; None where it is too small.

    What is frozen in front is computed once for each sample.
    """
    loop = InnerLoop(model.eval(), LOSSES[cache.source.kind], setting.adapt, setting.update)
    looks = samples_of(replace(setting.size, queries=max(QUERIES)), EPISODES)
    loop, source = behind_frozen(loop, (), cache, CPU, looks=looks)
    adapter = TorchAdapter(
        loop,
        input=input_of(source),
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
