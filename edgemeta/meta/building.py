"""The model of a run: made anew, given weights, and what of it the outer loop moves."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path

from torch import nn

from edgemeta.errors import InputError
from edgemeta.meta.checkpoint import Checkpoint, DataFacts
from edgemeta.meta.config import TrainConfig
from edgemeta.meta.foreign import OBJECT, check_output, import_model, is_foreign, not_given
from edgemeta.meta.inner import matching
from edgemeta.meta.models import build_model
from edgemeta.meta.norms import with_norm_statistics


def head_ways(config: TrainConfig, facts: DataFacts) -> int | None:
    """Return how many classes a training task has; None for regression."""
    return config.ways if facts.kind == "classification" else None


def make_model(config: TrainConfig, facts: DataFacts, given: nn.Module | None = None) -> nn.Module:
    """Build the model of a run with the weights that it starts from.

    Its batch norms are already what `config.norm_statistics` says.

    Args:
        config: of the run.
        facts: of its data.
        given: the model where it is an object of Python; it is copied.

    Raises:
        InputError: the model does not fit the data, cannot be imported, or is not given.
    """
    if is_foreign(config.model):
        outputs = head_ways(config, facts) or facts.target_shape
        if OBJECT.fullmatch(config.model):
            if given is None:
                raise not_given(config.model)
            model = copy.deepcopy(given).cpu()
        else:
            model = import_model(config.model, facts.input, outputs)
        check_output(f"--model {config.model}", model, facts.input, outputs)
    else:
        model = build_model(
            config.model,
            facts.input,
            ways=head_ways(config, facts),
            target_shape=facts.target_shape,
            width=config.width,
            pool=config.pool,
            norm=config.norm,
            hidden=config.hidden,
            head=config.head,
            mean=facts.mean,
            std=facts.std,
        )
    return with_norm_statistics(model, config.norm_statistics)


def start_from(model: nn.Module, path: Path) -> None:
    """Give a model the best weights of a run; a head of another width keeps its own.

    Raises:
        InputError: there is no run, or its network is another.
    """
    theirs = Checkpoint.from_file(path / "checkpoints" / "best.pt").model
    own = model.state_dict()
    other_head = {
        name
        for name in own.keys() | theirs.keys()
        if name.startswith("head.")
        and (name not in own or name not in theirs or own[name].shape != theirs[name].shape)
    }
    taken = {name: tensor for name, tensor in theirs.items() if name not in other_head}
    kept = {name: tensor for name, tensor in own.items() if name in other_head}
    try:
        model.load_state_dict(taken | kept)
    except RuntimeError as error:
        raise InputError(
            f"the network of {path} is another",
            got=" ".join(str(error).split()),
            hint="train with its --model, --width and --norm, on samples of the same shape",
        ) from error


def trained_names(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of the parameters that the outer loop moves.

    Args:
        model: of the run.
        patterns: shell patterns as for `InnerLoop`; none for all that require a gradient.

    Raises:
        UnsupportedModelError: a pattern matches no parameter, or nothing is left to train.
    """
    own = dict(model.named_parameters())
    if patterns:
        return matching(own, patterns, "trained")
    return [name for name, parameter in own.items() if parameter.requires_grad]


def let_move(model: nn.Module, names: Collection[str]) -> None:
    """Let some parameters, those that adapt or are trained, have gradients, and no others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
