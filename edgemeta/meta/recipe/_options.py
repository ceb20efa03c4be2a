"""Which options of a user leave a training to the recipe, and which of them a resumed run keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from edgemeta.data.options import AS_IT_IS
from edgemeta.meta.models.foreign import is_foreign
from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.runs.config import TrainConfig, read_toml
from edgemeta.meta.runs.resuming import check_unchanged
from edgemeta.util.files import write_atomically

CHOSEN_BY_USERS = (
    *("tasks", "root", "by", "data", "split_seed", "labels", "augment", "more_classes"),
    *("model", "body", "width", "pool", "norm", "hidden", "ways", "shots", "evaluation_queries"),
    *("test_episodes", "seed", "device", "threads", "cache", "precision", "minutes", "recipe"),
)
"""Fields of `TrainConfig` that leave the recipe to choose; all others are a training by hand."""


def by_hand(given: Iterable[str]) -> list[str]:
    """Return those of the names of given options that are choices of a training by hand."""
    return [name for name in given if name not in CHOSEN_BY_USERS]


def asks_for_recipe(given: Mapping[str, Any]) -> bool:
    """Whether options of a user leave a training to the recipe.

    They do where they say so; and where they say nothing of it, unless they choose something of a
    training by hand, or name what the recipe is not for: regression, or a foreign network. Nor
    does it train in several processes.

    Args:
        given: fields of `TrainConfig`.
    """
    if "recipe" in given:
        return bool(given["recipe"] == "auto")
    data = given.get("data", AS_IT_IS)
    regression = given["tasks"] == "sinusoid" or data.task is not None
    foreign = is_foreign(given.get("model", ""))
    return Ranks.alone() and not (by_hand(given) or regression or foreign)


def write_given(path: Path, given: Mapping[str, Any]) -> None:
    """Keep the options of a user: all else in a config may be the recipe's."""
    plain = TrainConfig(**given).record()
    write_atomically(path, tomli_w.dumps({name: plain[name] for name in given}).encode())


def resumed_given(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that `write_given` kept.

    Args:
        path: of the file.
        given: options of the user who resumes.

    Raises:
        InputError: one differs from the run's.
    """
    before = read_toml(path)
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    check_unchanged({n: v for n, v in given.items() if n != "recipe"}, defaults | before)
    return before
