"""The model of a run: made anew, given weights, and what of it the outer loop moves."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import matching
from edgemeta.meta.inner.norms import warn_of_frozen_in_training, with_norm_statistics
from edgemeta.meta.models.bodies import BodyModel, make_body_model
from edgemeta.meta.models.foreign import OBJECT, check_output, import_model, is_foreign, not_given
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.models.weights import weights_digest
from edgemeta.meta.runs.checkpoint import Checkpoint, DataStatistics
from edgemeta.meta.runs.config import TrainConfig

BODY = "body."  # how the names of a body's tensors begin


def head_ways(config: TrainConfig, statistics: DataStatistics) -> int | None:
    """Return how many classes a training task has; None for regression."""
    return config.ways if statistics.kind == "classification" else None


def make_model(
    config: TrainConfig,
    statistics: DataStatistics,
    given: nn.Module | None = None,
    *,
    new: bool = False,
) -> nn.Module:
    """Build the model of a run with the weights that it starts from.

    Its batch norms are already what `config.norm_statistics` says.

    Args:
        config: of the run.
        statistics: of its data.
        given: the model where it is an object of Python; it is copied.
        new: whether the run begins with it. That is the time to warn.

    Raises:
        InputError: the model does not fit the data, cannot be imported, or is not given.

    Warns:
        UserWarning: batch norms in training mode belong to what neither adapts nor is trained.
    """
    model: nn.Module
    if config.body:
        if statistics.kind != "classification":
            raise InputError("--body is for classification", got=statistics.kind)
        model = make_body_model(
            config.body, statistics.input, neck=config.neck, head=config.head, ways=config.ways
        )
    elif is_foreign(config.model):
        outputs = head_ways(config, statistics) or statistics.target_shape
        if OBJECT.fullmatch(config.model):
            if given is None:
                raise not_given(config.model)
            model = copy.deepcopy(given).cpu()
        else:
            model = import_model(config.model, statistics.input, outputs)
        check_output(f"--model {config.model}", model, statistics.input, outputs)
        if new and config.norm_statistics == "as is":
            adapted = matching(dict(model.named_parameters()), config.adapt)
            moving = {*adapted, *trained_names(model, config.trained)}
            warn_of_frozen_in_training(model, moving, stacklevel=2)
    else:
        model = build_model(
            config.model,
            statistics.input,
            ways=head_ways(config, statistics),
            target_shape=statistics.target_shape,
            width=config.width,
            pool=config.pool,
            norm=config.norm,
            hidden=config.hidden,
            head=config.head,
            neck=config.neck,
            mean=statistics.mean,
            std=statistics.std,
        )
    return with_norm_statistics(model, config.norm_statistics)


def start_from(model: nn.Module, path: Path, labels: tuple[str, ...] = ()) -> set[str]:
    """Give a model the best weights of a run; a head of other classes, or another neck, stays.

    Args:
        model: the weights are replaced in place.
        path: of the run.
        labels: of the model's data, see `DataStatistics`: a head whose rows mean something else,
            or nothing where ours do, is not taken, nor one of another width.

    Returns:
        Names of the tensors that the model keeps.

    Raises:
        InputError: there is no run, or its network is another.
    """
    checkpoint = Checkpoint.from_file(path / "checkpoints" / "best.pt")
    theirs = _with_body(model, checkpoint.model)
    same_classes = checkpoint.statistics.labels == labels
    own = model.state_dict()
    other = {
        name
        for name in own.keys() | theirs.keys()
        if name.startswith(("head.", "neck."))
        and not (
            (same_classes or name.startswith("neck."))
            and name in own.keys() & theirs.keys()
            and own[name].shape == theirs[name].shape
        )
    }
    taken = {name: tensor for name, tensor in theirs.items() if name not in other}
    kept = {name: tensor for name, tensor in own.items() if name in other}
    try:
        model.load_state_dict(taken | kept)
    except RuntimeError as error:
        raise InputError(
            f"the network of {path} is another",
            got=" ".join(str(error).split()),
            hint="train with its --model, --width and --norm, on samples of the same shape",
        ) from error
    return set(kept)


def body_sha256(model: nn.Module) -> str:
    """Return the hash of a pre-trained body's weights; "" for a model without one."""
    return weights_digest(model.body) if isinstance(model, BodyModel) else ""


def check_body(name: str, now: str, before: str) -> None:
    """Refuse another body than a run was trained with.

    Args:
        name: of the body.
        now: hash of the one that is here.
        before: of the run's.

    Raises:
        InputError: they differ.
    """
    if now != before:
        raise InputError(
            f"the body {name} is another than this run was trained with",
            got=f"sha256 {now[:16]}",
            expected=before[:16],
            hint="bring back the file, or the version of the package, that it was trained with",
        )


def state_of(model: nn.Module, trained: Collection[str]) -> dict[str, Tensor]:
    """Return the tensors that a checkpoint holds: not those of a frozen pre-trained body."""
    own: dict[str, Tensor] = model.state_dict()
    if not isinstance(model, BodyModel) or any(name.startswith(BODY) for name in trained):
        return own
    return {name: tensor for name, tensor in own.items() if not name.startswith(BODY)}


def load_weights(model: nn.Module, state: Mapping[str, Tensor], where: Path) -> None:
    """Give a model what `state_of` kept.

    Raises:
        InputError: it is of another network; `where` it lies is named.
    """
    try:
        model.load_state_dict(_with_body(model, state))
    except RuntimeError as error:
        raise InputError(
            f"the weights of {where} are of another network",
            got=" ".join(str(error).split()),
            hint="give one with the same layers, in the same mode: eval() or train()",
        ) from error


def _with_body(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state with the body's own tensors where it has none."""
    if not isinstance(model, BodyModel):
        return dict(state)
    own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(BODY)}
    return {**own, **state}


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
