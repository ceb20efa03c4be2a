"""Who is compared: an init, and what is done with it.

| init | method | |
|---|---|---|
| meta-learned | as trained | the run, with its own inner steps and rates |
| meta-learned | no adaptation | the run at once, where labels keep their meaning |
| pretrained | head | supervised pre-training, then only the head adapts |
| pretrained | all weights | the same, and everything adapts |
| pretrained | prototype | the same, nothing adapts: nearest mean of the support features |
| pretrained | centred cosine | the same: nearest mean by angle, seen from the training's mean |
| pretrained | logistic regression | the same: a logistic regression on the frozen features |
| pretrained | no adaptation | the same at once, where labels keep their meaning |
| meta-learned | prototype | the run's features, nothing adapts |
| random | all weights | the weights that the run started from |

A run that is itself a pre-training is its own pretrained init.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, NamedTuple

from edgemeta.meta.runs.algorithms import HEAD
from edgemeta.tasks.source import TaskKind

Init = Literal["meta-learned", "pretrained", "random"]
Method = Literal[
    "as trained",
    "no adaptation",
    "head",
    "all weights",
    "prototype",
    "centred cosine",
    "logistic regression",
]


class Contestant(NamedTuple):
    """An init, and what is done with it."""

    init: Init
    method: Method


CONTESTANTS = (
    Contestant("meta-learned", "as trained"),
    Contestant("meta-learned", "no adaptation"),
    Contestant("pretrained", "head"),
    Contestant("pretrained", "all weights"),
    Contestant("pretrained", "prototype"),
    Contestant("pretrained", "centred cosine"),
    Contestant("pretrained", "logistic regression"),
    Contestant("pretrained", "no adaptation"),
    Contestant("meta-learned", "prototype"),
    Contestant("random", "all weights"),
)
ADAPTED: dict[Method, tuple[str, ...]] = {"head": HEAD, "all weights": ("*",)}
ON_FEATURES: tuple[Method, ...] = ("prototype", "centred cosine", "logistic regression")

GRID_STEPS = (1, 5, 10, 20)
# Gradients of a squared error of waves of amplitude 5 are steeper than those of a cross entropy.
GRID_RATES = {"classification": (0.01, 0.1, 0.4), "regression": (0.001, 0.01, 0.1)}
GRID_STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # `C` of a logistic regression


def contestants(
    inits: Collection[Init], kind: TaskKind, *, fixed: bool, features: bool
) -> tuple[Contestant, ...]:
    """Return who can be compared, the run first and nobody twice.

    Args:
        inits: those that there are; without "meta-learned" the run is the pretrained one.
        kind: of the tasks.
        fixed: whether labels keep their meaning, so that an init predicts at once.
        features: whether the models have features.
    """
    left_out: set[Method] = set() if fixed else {"no adaptation"}
    if kind != "classification" or not features:
        left_out |= set(ON_FEATURES)
    own: Init = "meta-learned" if "meta-learned" in inits else "pretrained"
    named = (c._replace(init=own) if c.init == "meta-learned" else c for c in CONTESTANTS)
    return tuple(dict.fromkeys(c for c in named if c.init in inits and c.method not in left_out))


def grid_of(method: Method, kind: TaskKind) -> dict[str, list[Any]]:
    """Return what validation chooses among for a method, by name; {} where there is no choice."""
    if method in ADAPTED:
        return {"steps": list(GRID_STEPS), "inner_lr": list(GRID_RATES[kind])}
    return {"C": list(GRID_STRENGTHS)} if method == "logistic regression" else {}
