"""Meta-training from Python: any module, any source, one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from edgemeta.errors import InputError
from edgemeta.meta.models.foreign import object_name
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.recipe import Recipe
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.reading import with_ready_data
from edgemeta.meta.runs.resuming import resumed_config
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import TaskSource
from edgemeta.tasks.opening import FIXED_NAMES


def meta_train(
    model: nn.Module | str | None,
    source: TaskSource | str,
    *,
    out: str | os.PathLike[str],
    resume: bool = False,
    **choices: Any,
) -> Run:
    """Meta-train a model, keep what validates best, and evaluate it on the test part.

    Args:
        model: any module that maps raw samples (N, *shape) to (N, ways) logits, to (N, 1) with a
            `SharedHead` as its last layer, or to (N, *target_shape). Its weights are the start; it
            is copied. Or what `edgemeta train --model` takes: a name, "package.module:function".
            None for `body`, a pre-trained one.
        source: of the tasks; or what `edgemeta train` takes, such as a path.
        out: the run's directory.
        resume: continue the run that is there, with the same model, source and choices.
        **choices: fields of `edgemeta.meta.runs.TrainConfig`, such as `adapt` (what adapts on
            the device), `trained` (what meta-training moves; all parameters that require a
            gradient), `inner_lr`, `iterations`; with recipe="auto" those that
            `edgemeta.meta.recipe` leaves open, such as `minutes`, `by` and `labels`.

    Returns:
        The run, which holds the model and the source for as long as this process lives. Another
        one has to be told them: `Run(path, model=...)`; what "package.module:function" made, it
        makes again.

    Raises:
        InputError: a choice is unknown or out of range, the model does not fit the tasks, or the
            directory is taken.
        TrainingError: the loss is not finite.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> from edgemeta import tasks
        >>> from torch import nn
        >>> y = np.repeat(np.arange(10), 8)
        >>> x = np.random.default_rng(0).normal(y[:, None], 0.1, (80, 3)).astype(np.float32)
        >>> model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> choices = {"ways": 2, "shots": 1, "queries": 2, "evaluation_queries": 2}
        >>> choices |= {"iterations": 2, "validation_episodes": 4, "test_episodes": 4}
        >>> run = edgemeta.meta_train(model, tasks.from_arrays(x, y), out="run", **choices)
        >>> edgemeta.export(run, "trained").name
        'trained'
    """
    if odd := sorted(choices.keys() - TrainConfig.__dataclass_fields__.keys()):
        raise InputError(
            "unknown choices",
            got=", ".join(odd),
            expected=f"some of {', '.join(TrainConfig.__dataclass_fields__)}",
        )
    choices = {n: tuple(v) if isinstance(v, list) else v for n, v in choices.items()}
    given_model = model if isinstance(model, nn.Module) else None
    given_source = source if isinstance(source, TaskSource) else None
    if model is not None:
        choices["model"] = model if isinstance(model, str) else object_name(model)
    if isinstance(source, str):
        choices["tasks"] = source
    elif source.name not in FIXED_NAMES:
        choices["tasks"] = f"<{Path(source.name).name}>"
    else:
        choices["tasks"] = source.name
    if choices.get("recipe") == "auto":
        if model is not None and not isinstance(model, str):
            raise InputError(
                "the recipe trains networks of edgemeta's own, or a body",
                got=choices["model"],
                hint='leave out recipe="auto", or the model',
            )
        recipe = Recipe(Path(out), choices, source=given_source, resume=resume)
        recipe.train()
        return recipe.run
    choices = with_ready_data(choices)
    run = Run(Path(out), model=given_model, source=given_source)
    config = resumed_config(run, choices) if resume else TrainConfig.of(**choices)
    trainer = Trainer(config, run.path, resume=resume, model=given_model, source=given_source)
    trainer.train()
    run.source = trainer.tasks
    return run
