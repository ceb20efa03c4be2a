"""Batch norm keeps PyTorch's promise: what adapts on the device is what eager fine-tuning gives.

The reference is an ordinary training loop with `torch.optim.SGD`, not our own `InnerLoop`. The
running statistics are far from those of the support set: whoever mixes them up is far off.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta import InputError, Runner
from edgemeta.meta.inner.low_rank import LOW_RANK, add_low_rank
from edgemeta.meta.inner.norms import NormStatistics
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta_export import export_bundle

pytestmark = pytest.mark.usefixtures("lowered_once")

WAYS, STEPS, LR = 3, 3, 0.05
# Relative to a tensor's largest value: float32, three steps; largest seen 2e-6.
LIMIT = 2e-5
HEAD, LAST, NORMS = ("head.*",), ("second.*", "head.*"), ("*.1.weight", "*.1.bias")


class Net(nn.Module):
    """Two blocks with batch norm, one of them depthwise, and a head."""

    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(2, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6), nn.ReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), nn.SiLU()
        )
        self.third = nn.Sequential(nn.Conv2d(6, 8, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, WAYS) if head is None else head

    def forward(self, x: Tensor) -> Tensor:
        features = self.third(self.second(self.first(x))).mean((2, 3))
        logits: Tensor = self.head(features)
        return logits


def net(head: nn.Module | None = None) -> Net:
    """Return a network in eval mode whose running statistics fit no data at all."""
    torch.manual_seed(0)
    made = Net(head)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 2.0, 0.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean, 0.0, 0.7)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.1, 3.0)  # type: ignore[arg-type]
    return made.eval()


def samples(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return samples whose classes differ, or what the head learns is rounding."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % WAYS).astype(np.int64)
    x = rng.normal(size=(count, 2, 13, 9)) + 2 * (y[:, None, None, None] - 1)
    return x.astype(np.float32), y


def fine_tuned(model: nn.Module, names: Sequence[str], x: Tensor, y: Tensor) -> nn.Module:
    """Fine-tune a copy of a network in eval mode, as a tutorial would."""
    model = copy.deepcopy(model).eval()
    chosen = [parameter for name, parameter in model.named_parameters() if name in names]
    optimizer = torch.optim.SGD(chosen, lr=LR)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def far(found: NDArray[np.float32], wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest value, or to 0.1 where that is small.

    Logits near zero are small differences of larger products, and have their rounding.
    """
    reference = wanted.detach().numpy()
    return float(np.abs(found - reference).max() / max(np.abs(reference).max(), 0.1))


@pytest.mark.parametrize(
    ("adapt", "rank"),
    [(HEAD, 0), (LAST, 0), (NORMS, 0), (("*",), 0), (LOW_RANK, 2)],
    ids=["head", "last blocks", "norms", "all", "low rank"],
)
def test_a_norm_in_eval_mode_keeps_its_running_statistics(
    tmp_path: Path, adapt: tuple[str, ...], rank: int
) -> None:
    model: nn.Module = net()
    if rank:
        model = add_low_rank(model, ["second.0", "third.0", "head"], rank=rank)
    x, y = samples(9, seed=0)
    path = export_bundle(
        model, tmp_path / "bundle", x, inner_lr=LR, inner_steps=STEPS, adapt=adapt, example_y=y
    )
    runner = Runner(path, threads=1)
    names = [tensor.name for tensor in runner.manifest.state]
    assert not any("running" in name for name in names)
    # One sample a class as well: the statistics must not depend on how many there are.
    for count in (WAYS, 9):
        support_x, support_y = samples(count, seed=count)
        query_x, _ = samples(6, seed=7)
        reference = fine_tuned(model, names, torch.tensor(support_x), torch.tensor(support_y))
        learner = runner.adapt(support_x, support_y)
        with torch.no_grad():
            wanted = reference(torch.tensor(query_x))
        assert far(learner.predict_logits(query_x), wanted) < LIMIT
        state, tuned = learner.state_dict(), dict(reference.named_parameters())
        assert max(far(state[name], tuned[name]) for name in names) < LIMIT


def test_a_shared_head_behind_a_frozen_norm(tmp_path: Path) -> None:
    model = net(SharedHead(8))
    x, y = samples(9, seed=0)
    path = export_bundle(
        model, tmp_path / "bundle", x, inner_lr=LR, inner_steps=STEPS, adapt=HEAD, example_y=y
    )
    reference = copy.deepcopy(model)
    reference.head = nn.Linear(8, WAYS)
    nn.init.zeros_(reference.head.weight)
    nn.init.zeros_(reference.head.bias)
    names = ["head.weight", "head.bias"]
    tuned = fine_tuned(reference, names, torch.tensor(x), torch.tensor(y))
    found = Runner(path, threads=1).adapt(x, y).predict_logits(x)
    assert far(found, tuned(torch.tensor(x))) < LIMIT


@pytest.mark.parametrize("statistics", ["as is", "running", "support"])
@pytest.mark.parametrize("training", [False, True])
def test_statistics_by_choice(tmp_path: Path, statistics: NormStatistics, training: bool) -> None:
    model, (x, y) = net().train(training), samples(9, seed=0)
    support = statistics == "support" or (statistics == "as is" and training)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        path = export_bundle(
            model,
            tmp_path / "bundle",
            x,
            inner_lr=LR,
            inner_steps=STEPS,
            adapt=HEAD,
            example_y=y,
            norm_statistics=statistics,
        )
    assert model.training == training
    messages = [str(warning.message) for warning in said if warning.category is UserWarning]
    if statistics == "as is" and training:
        assert len(messages) == 1
        assert "3 batch norms" in messages[0]
        assert "model.eval()" in messages[0]
    else:
        assert not messages
    runner = Runner(path, threads=1)
    buffers = [tensor.name for tensor in runner.manifest.state if tensor.kind == "buffer"]
    assert bool(buffers) == support
    if support:
        state = runner.adapt(x, y).state_dict()
        with torch.no_grad():
            made = model.first[0](torch.tensor(x))
        assert far(state["first.1.running_mean"], made.mean((0, 2, 3))) < LIMIT


def test_norms_that_adapt_in_training_mode_are_meant(tmp_path: Path) -> None:
    x, y = samples(9, seed=0)  # pytest makes an error of a warning
    model = net().train()
    export_bundle(model, tmp_path / "bundle", x, inner_lr=LR, inner_steps=1, example_y=y)


def test_unknown_statistics_are_refused(tmp_path: Path) -> None:
    x, _ = samples(9, seed=0)
    with pytest.raises(InputError, match="'as is' or 'running' or 'support'"):
        export_bundle(
            net(),
            tmp_path / "bundle",
            x,
            inner_lr=LR,
            inner_steps=1,
            norm_statistics="batch",  # type: ignore[arg-type]
        )
