"""A head for any number of classes: one learned class vector, repeated for each class of a task."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from edgemeta.errors import UnsupportedModelError


class SharedHead(nn.Module):
    """A linear head whose classes all start from the same row.

    Source: UNICORN-MAML (Ye and Chao 2022, "How to Train Your MAML to Excel in Few-Shot
    Classification"). The parameters hold the one row that is meta-learned; the inner
    loop repeats it for the classes of a task (`InnerLoop.grow`), and from there each class has a
    row of its own. So the numbering of the classes has no meaning, and tasks may have any number
    of them.

    The softmax sees only differences between classes: what all of them share cancels, exactly,
    also in the gradients of the features. Under plain cross entropy the row hence has no influence
    beyond rounding and no meta-gradient: classes might as well start from zeros (the zeroing trick
    of Kao et al. 2022, "MAML is a Noisy Contrastive Learner in Classification"). Another loss, or
    a weight decay in the inner update, does learn it.

    Args:
        in_features: D, size of one feature vector.
        bias: whether each class has a bias.
    """

    def __init__(self, in_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.weight = nn.Parameter(torch.zeros(1, in_features))
        self.bias = nn.Parameter(torch.zeros(1)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map features (N, D) to logits (N, rows): one column for each row at hand."""
        return functional.linear(x, self.weight, self.bias)


def shared_names(model: nn.Module) -> list[str]:
    """Return the names of the parameters whose axis 0 counts classes.

    Raises:
        UnsupportedModelError: a shared head's weight is computed from others.
    """
    heads = {name: m for name, m in model.named_modules() if isinstance(m, SharedHead)}
    if odd := [name for name, head in heads.items() if parametrize.is_parametrized(head)]:
        raise UnsupportedModelError(
            "a shared head cannot be parametrized, as by a low-rank adapter",
            got=", ".join(odd),
            hint="leave it out: it adapts as a whole",
        )
    return [
        f"{name}.{own}" if name else own
        for name, head in heads.items()
        for own, _ in head.named_parameters()
    ]


@torch.no_grad()
def rest_rows(model: nn.Module, names: Iterable[str]) -> None:
    """Put the rows of a shared head, of which `shared_names` has the names, to zero, in place.

    Under plain cross entropy their meta-gradient is rounding, which Adam scales up to whole steps.
    The drift has no influence but on the digits that are left of the logits: after 7,000 outer
    steps all of them were 480 up, beside differences of some ten.
    """
    for name in names:
        model.get_parameter(name).zero_()
