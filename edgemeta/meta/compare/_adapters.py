"""Contestants as something to evaluate, each on what is left behind its frozen layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from edgemeta.measure.evaluate import Adapter
from edgemeta.meta.compare._contestants import ADAPTED, ON_FEATURES, Contestant, Init
from edgemeta.meta.compare._on_features import (
    FeatureAdapter,
    cosine_logits,
    logistic_logits,
    prototype_logits,
)
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.updates import Rates
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.meta.runs.algorithms import HEAD
from edgemeta.meta.runs.building import trained_names
from edgemeta.meta.runs.devices import CPU
from edgemeta.meta.runs.frozen import behind_frozen
from edgemeta.meta.runs.run import Trained
from edgemeta.tasks import TaskSource
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.source import input_of


class Adapters:
    """Makes what adapts, and the source that it is evaluated on.

    Args:
        inits: by their name.
        source: of raw samples.
        looks: how many samples will be looked at; see `FeatureCache.behind`.
    """

    def __init__(self, inits: Mapping[Init, Trained], source: TaskSource, *, looks: int) -> None:
        self._inits, self._cache, self._looks = inits, FeatureCache(source), looks
        self._grounds: dict[Contestant, tuple[InnerLoop, TaskSource]] = {}

    def make(self, contestant: Contestant, choice: Mapping[str, Any]) -> tuple[Adapter, TaskSource]:
        """Return a contestant, ready to adapt.

        Args:
            contestant: who.
            choice: how: `steps` and `inner_lr`, or `C`, of those that have a choice.
        """
        config, _, _, rates = self._inits[contestant.init]
        if contestant.method in ON_FEATURES:
            return self.on_features(contestant, choice.get("C"))
        if contestant.method in ADAPTED:
            return self.fine_tuning(contestant, choice["steps"], choice["inner_lr"])
        steps = 0 if contestant.method == "no adaptation" else config.inner_steps
        return self.fine_tuning(contestant, steps, rates)

    def fine_tuning(
        self, contestant: Contestant, steps: int, inner_lr: Rates
    ) -> tuple[TorchAdapter, TaskSource]:
        """Return a contestant that adapts weights, by so many steps at a rate."""
        config, statistics, _, _ = self._inits[contestant.init]
        loop, source = self._ground(contestant)
        statistics = replace(statistics, input=input_of(source))
        config = replace(config, inner_steps=steps)
        return TorchAdapter.of(loop, config, statistics, inner_lr), source

    def on_features(
        self, contestant: Contestant, strength: float | None
    ) -> tuple[FeatureAdapter, TaskSource]:
        """Return a contestant that classifies features; `strength` of a logistic regression."""
        trained = self._inits[contestant.init]
        loop, source = self._ground(contestant)
        if not isinstance(loop.model, FewShotModel):  # features that cannot be told apart
            loop, source = trained.loop(), self._cache.source
        adapter = FeatureAdapter(
            loop.model, prototype_logits, input=input_of(source), ways=trained.config.ways
        )
        if strength is not None:
            return adapter.classifying(partial(logistic_logits, strength=strength)), source
        if contestant.method == "centred cosine":
            assert isinstance(source, ClassSource)  # noqa: S101  # there are features of no other
            mean = adapter.training_mean(source)
            return adapter.classifying(partial(cosine_logits, mean=mean)), source
        return adapter, source

    def _ground(self, contestant: Contestant) -> tuple[InnerLoop, TaskSource]:
        """Return a contestant's inner loop, and the source, without what is frozen in front."""
        if contestant not in self._grounds:
            trained = self._inits[contestant.init]
            config, statistics, model, _ = trained
            if contestant.method in ("as trained", "no adaptation"):
                loop = trained.loop()
            else:  # what is on features adapts nothing: a head has no influence
                adapted = ADAPTED.get(contestant.method, HEAD)
                loop = InnerLoop(model, LOSSES[statistics.kind], adapted)
            ground = loop, self._cache.source
            if config.cache != "off":
                moved = trained_names(model, config.trained)
                ground = behind_frozen(loop, moved, self._cache, CPU, looks=self._looks)
            self._grounds[contestant] = ground
        return self._grounds[contestant]
