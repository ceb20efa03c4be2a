"""Batch norm for devices: running statistics stay, or the support set's join the state."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from edgemeta.errors import InputError

NormStatistics = Literal["as is", "running", "support"]
NORM_STATISTICS: tuple[NormStatistics, ...] = get_args(NormStatistics)


class SupportNorm(nn.Module):
    """Batch norm whose statistics are those of the last support set.

    In training mode it normalises by the batch and keeps the batch's mean and (biased) variance;
    in eval mode it normalises by what it kept. Unlike `nn.BatchNorm2d` the statistics carry a
    gradient, so that meta-training sees how they move with the weights, and there is no running
    average: adapting once or step by step gives the same state.

    Shapes: (N, C, *) -> (N, C, *), float32.

    Args:
        channels: C.
        eps: added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    @classmethod
    def like(cls, norm: nn.modules.batchnorm._BatchNorm) -> SupportNorm:
        """Return a support norm with the parameters and statistics of a batch norm."""
        made = cls(norm.num_features, norm.eps)
        for name in ("weight", "bias"):
            value = getattr(norm, name)
            setattr(made, name, None if value is None else value)
        for name in ("running_mean", "running_var"):
            if (value := getattr(norm, name)) is not None:
                setattr(made, name, value)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, *) over all but the channel axis."""
        if self.training:
            axes = [0, *range(2, x.ndim)]
            self.running_mean = x.mean(axes)
            self.running_var = x.var(axes, correction=0)
            return torch.batch_norm(
                x, self.weight, self.bias, None, None, True, 0.0, self.eps, False
            )
        scale = torch.rsqrt(self.running_var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -self.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        per_channel = (-1, *[1] * (x.ndim - 2))
        return x * scale.view(per_channel) + shift.view(per_channel)


def with_support_norms(model: nn.Module, *, every: bool = False) -> nn.Module:
    """Replace, in place, every batch norm in training mode by a `SupportNorm`.

    A norm in eval mode keeps its running statistics, as PyTorch promises. A batch norm without
    tracked statistics (`track_running_stats=False`) is transductive by its maker's choice - it
    predicts from the statistics of the queries - and stays as it is.

    Args:
        model: any module.
        every: those in eval mode, too.

    Returns:
        The model, or what replaces it where the model itself is a batch norm.
    """
    if isinstance(model, nn.modules.batchnorm._BatchNorm):
        wanted = model.track_running_stats and (model.training or every)
        return SupportNorm.like(model) if wanted else model
    for name, child in model.named_children():
        setattr(model, name, with_support_norms(child, every=every))
    return model


def with_norm_statistics(model: nn.Module, statistics: NormStatistics) -> nn.Module:
    """Decide, in place, which statistics the batch norms of a model normalise by when it adapts.

    Args:
        model: any module.
        statistics: "as is", where a norm in eval mode keeps its running statistics and one in
            training mode takes the support set's; "running", where all keep theirs; "support",
            where all take the support set's.

    Returns:
        The model, or what replaces it where the model itself is a batch norm.

    Raises:
        InputError: `statistics` is none of these, or a norm has no running statistics to keep.

    Example:
        model = with_norm_statistics(torchvision.models.resnet18(), "running")
    """
    if statistics not in NORM_STATISTICS:
        raise InputError(
            "unknown norm_statistics",
            got=repr(statistics),
            expected=" or ".join(map(repr, NORM_STATISTICS)),
        )
    if statistics == "running":
        for norm in batch_norms(model):
            norm.eval()
        return model
    return with_support_norms(model, every=statistics == "support")


def batch_norms(model: nn.Module) -> list[nn.Module]:
    """Return the batch norms of PyTorch in a model."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def takes_batch_statistics(module: nn.Module) -> bool:
    """Whether a norm of a model in eval mode lets samples see each other, or the support set."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return module.running_mean is None
    return isinstance(module, SupportNorm)


def warn_of_frozen_in_training(model: nn.Module, moving: Collection[str], stacklevel: int) -> None:
    """Warn of batch norms in training mode none of whose parameters moves.

    Such a norm takes the support set's statistics, although it is part of what is kept: rarely
    what the maker of a pre-trained network had in mind.

    Args:
        model: before `with_norm_statistics`.
        moving: names of the parameters that adapt or are trained.
        stacklevel: of the caller's caller, as for `warnings.warn`.

    Warns:
        UserWarning: there are some.
    """
    every = {name for name, _ in model.named_parameters()} <= set(moving)
    norms = [
        name or "the model"
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and module.track_running_stats
        and not every  # one without parameters of its own goes with the others
        and not any(f"{name}.{own}".lstrip(".") in moving for own, _ in module.named_parameters())
    ]
    if not norms:
        return
    shown = ", ".join(norms[:3]) + (f" and {len(norms) - 3} more" if len(norms) > 3 else "")
    counted = "1 batch norm" if len(norms) == 1 else f"{len(norms)} batch norms"
    warnings.warn(
        f"{counted} of frozen layers in training mode ({shown}): the support set's statistics "
        "will be taken in place of their own. To keep theirs, call model.eval() first or pass "
        'norm_statistics="running"; norm_statistics="support" says that this is meant.',
        stacklevel=stacklevel + 1,
    )
