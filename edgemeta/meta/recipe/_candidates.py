"""What the recipe trains: a network for each kind of data, and a config for each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgemeta.errors import InputError
from edgemeta.meta.augment import auto_names
from edgemeta.meta.models.bodies import is_installed
from edgemeta.meta.runs.algorithms import HEAD
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.tasks import TaskSource
from edgemeta.tasks.kinds import DataKind
from edgemeta.tasks.more_classes import with_more_classes
from edgemeta.util.choices import AUTO, NONE

SAMPLES = 128  # of a pre-training step, about
PRETRAINING: dict[str, Any] = {
    "algorithm": "pretrain",
    "objective": "classes",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "meta_lr": 2e-3,
    "schedule": "cosine",
    "validation_episodes": 100,
}
META_TRAINING: dict[str, Any] = {
    "algorithm": "maml",
    "objective": "query",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "meta_lr": 2e-4,
    "schedule": "cosine",
    "meta_batch": 4,
    "queries": 5,
    "validation_episodes": 200,
}
MOST_WAYS = 10  # of a meta-training task: harder than what is tested, as far as classes allow
# One step from a head of zeros behind a cosine neck is the nearest class mean.
SHUFFLED: dict[str, Any] = {
    "labels": "shuffled",
    "head": "shared",
    "neck": "cosine",
    "adapt": HEAD,
    "inner_steps": 1,
    "inner_lr": 1.0,
}
# The head has learned what its rows mean, and predicts before it has seen a sample.
FIXED: dict[str, Any] = {
    "labels": "fixed",
    "head": "linear",
    "neck": "none",
    "adapt": HEAD,
    "inner_steps": 0,
    "ways": 0,
}
BODIES: dict[DataKind, str] = {"waves": "speech", "spectra": "speech", "images": "image"}
AUTO_LIST, NO = (AUTO,), (NONE,)
AS_THEY_ARE, AUGMENTED, MORE = "plain", "augmented", "more-classes"
PLAIN_SHARE = 0.5
"""Of the steps of the others: what is seen again and again unchanged is known by heart sooner."""
WORDS = {
    AS_THEY_ARE: "the data as they are",
    AUGMENTED: "augmented",
    MORE: "augmented, with more classes",
}


@dataclass(frozen=True)
class Candidate:
    """Something to train.

    Attributes:
        name: of its directory.
        what: for people.
        config: of the training.
        share: of the steps that the others take.
    """

    name: str
    what: str
    config: TrainConfig
    share: float = 1.0


def network_for(kind: DataKind, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the options of the network for samples of a kind and a shape.

    Raises:
        InputError: no network of ours takes them.
    """
    if kind == "waves":
        raise InputError(
            "no network takes waveforms from scratch",
            got=f"samples of shape {shape}",
            expected='a ready body: --body speech (pip install "edgemeta[speech]"), or spectra',
            hint="let edgemeta compute these from recordings: --features mfcc",
        )
    if kind == "images":
        sides = [side for side in shape if side > 3]
        return {"model": "conv4", "norm": "batch", "pool": "max" if min(sides) >= 16 else "stride"}
    if kind in ("spectra", "series") and shape[-1] > 1:
        return {"model": "ds-cnn", "norm": "batch"}
    return {"model": "mlp", "hidden": (64, 64)}


def pretrainings(base: Mapping[str, Any], source: TaskSource) -> list[Candidate]:
    """Return the pre-trainings to compare, the one to be preferred first.

    That is the one that makes most of the data: it is best on most data, and validation sees it
    where it is not.

    Args:
        base: options of all candidates; `augment` and `more_classes` are left out where the recipe
            decides.
        source: of the tasks.
    """
    augment, more = base.get("augment", AUTO_LIST), base.get("more_classes", AUTO_LIST)
    ways = [(AS_THEY_ARE, {"augment": NO, "more_classes": NO})]
    if auto_names(source):
        ways.append((AUGMENTED, {"augment": AUTO_LIST, "more_classes": NO}))
    if base["labels"] != "fixed" and with_more_classes(source, AUTO_LIST) is not source:
        ways.append((MORE, {"augment": ways[-1][1]["augment"], "more_classes": AUTO_LIST}))
    if augment != AUTO_LIST:
        ways = [(name, options | {"augment": augment}) for name, options in ways]
    if more != AUTO_LIST:
        ways = [(name, options | {"more_classes": more}) for name, options in ways]
    once = {tuple(options.values()): (name, options) for name, options in ways[::-1]}
    task = base["ways"] * (base["shots"] + base["queries"])
    made = {**base, **PRETRAINING, "meta_batch": max(1, round(SAMPLES / task))}
    return [
        Candidate(
            f"pretrained-{name}",
            f"pre-training, {WORDS[name]}",
            TrainConfig.of(**made | options),
            PLAIN_SHARE if len(once) > 1 and {*options.values()} == {NO} else 1.0,
        )
        for name, options in once.values()
    ]


def meta_training(
    start: Candidate, path: Path, ways: int, adapting: Mapping[str, Any]
) -> Candidate:
    """Return the meta-training from a pre-training.

    Args:
        start: the pre-training.
        path: where its run lies.
        ways: classes of a task.
        adapting: fields that say what adapts, how often and at which rate.
    """
    options = {"start": str(path), "ways": ways, **META_TRAINING, **adapting}
    return Candidate("meta-trained", "meta-training from there", replace(start.config, **options))


def installed_body(kind: DataKind) -> str | None:
    """Return the ready body for a kind of data whose package is installed, if there is one."""
    name = BODIES.get(kind)
    return name if name and is_installed(name) else None


def with_body(name: str, base: Mapping[str, Any]) -> list[Candidate]:
    """Return what is made of a frozen body: as it is, and behind a neck that is trained.

    Args:
        name: of the body.
        base: options of all candidates.
    """
    own = {n: v for n, v in base.items() if n not in ("model", "norm", "pool", "hidden", "width")}
    own |= META_TRAINING | {"body": name, "augment": NO, "more_classes": NO, "trained": ("neck.*",)}
    return [
        Candidate(
            f"{name}-cosine", f"the {name} body, frozen", TrainConfig.of(**own | {"neck": "cosine"})
        ),
        Candidate(
            f"{name}-matrix",
            "the same behind a trained matrix",
            TrainConfig.of(**own | {"neck": "matrix"}),
        ),
    ]
