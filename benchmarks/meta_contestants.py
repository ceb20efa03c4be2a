"""Cases of meta-training, and who trains them: a plain loop, edgemeta, and a peer.

A contestant takes one outer step over all tasks of a case each time it is called, and leaves the
meta-gradient in the `grad` of the model's parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.contestants import PeerProcess
from edgemeta.bundle import TensorSpec
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES, Loss, Task
from edgemeta.meta.inner.objective import Ask, Tasks, stack_episodes
from edgemeta.meta.models.networks import MLP, Conv4, build_model
from edgemeta.meta.outer._engine import Engine, plans
from edgemeta.meta.outer._planning import fastest, recorded
from edgemeta.tasks import Episode, EpisodeSize
from edgemeta.tasks._sinusoid import SinusoidSource

Algorithm = Literal["maml", "fomaml", "anil", "reptile"]
ALGORITHMS: tuple[Algorithm, ...] = ("maml", "fomaml", "anil", "reptile")
STEPS = (1, 5)
IMAGE = (28, 28)
NOISE = 0.3  # of an image around its class, whose pixels are 0..1
HEAD = ("head.*",)  # what adapts with ANIL
META_LR = 1e-6  # so small that thousands of timed steps stay where the gradients were compared
SEED = 0

Step = Callable[[], None]
Make = Callable[["MetaCase", nn.Module], Step]
"""Makes a contestant that trains a model of the case, in place."""


@dataclass(frozen=True)
class MetaCase:
    """One kind of meta-training.

    Attributes:
        network: "conv4" (max-pooling, group norm) on images, or "mlp" on sine waves.
        algorithm: with Reptile (Nichol et al. 2018) an outer step goes along the mean displacement,
            with SGD and without queries; with ANIL (Raghu et al. 2020) only the head adapts.
        steps: inner steps.
        meta_batch: tasks per outer step.
        size: of a task.
        width: conv4: filters per block.
        inner_lr: of plain gradient descent; so small that steps do not magnify rounding.
        device: "cpu" or "cuda", of all contestants.
    """

    network: Literal["conv4", "mlp"]
    algorithm: Algorithm
    steps: int
    meta_batch: int
    size: EpisodeSize
    width: int = 32
    inner_lr: float = 0.01
    device: str = "cpu"

    @property
    def kind(self) -> Task:
        """What the tasks are."""
        return "classification" if self.network == "conv4" else "regression"

    @property
    def loss(self) -> Loss:
        """The loss of both loops, a mean."""
        return LOSSES[self.kind]

    def model(self) -> nn.Module:
        """Return the network with its initial weights, always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            if self.network == "mlp":
                spec = TensorSpec((1,), "float32")
                return build_model("mlp", spec, target_shape=(1,)).to(self.device)
            spec = TensorSpec(IMAGE, "float32")
            model = build_model("conv4", spec, ways=self.size.ways, width=self.width)
            # Heads start from zero; then the first inner gradient of all else would be zero too.
            assert isinstance(model.head, nn.Linear)  # noqa: S101
            model.head.reset_parameters()
            return model.to(self.device)

    def tasks(self) -> list[Episode]:
        """Return the tasks of every outer step, always the same."""
        if self.network == "mlp":
            source = SinusoidSource()
            return [source.episode("train", self.size, SEED, k) for k in range(self.meta_batch)]
        rng = np.random.default_rng(SEED)
        return [_images(self.size, rng) for _ in range(self.meta_batch)]

    def tensors(self, dtype: torch.dtype = torch.float32) -> list[tuple[Tensor, ...]]:
        """Return the tasks as tensors, in the order of an episode; labels stay integers."""
        tasks = [
            tuple(torch.from_numpy(array).to(self.device) for array in task)
            for task in self.tasks()
        ]
        return [tuple(t.to(dtype) if t.is_floating_point() else t for t in task) for task in tasks]

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Return what takes the outer step along the `grad` of the model's parameters."""
        outer = torch.optim.SGD if self.algorithm == "reptile" else torch.optim.Adam
        return outer(model.parameters(), lr=META_LR)

    def wait(self) -> None:
        """Wait until a step is through: a GPU returns before it is."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def _images(size: EpisodeSize, rng: np.random.Generator) -> Episode:
    """Draw a task of noisy images, each around the random image of its class."""
    centres = rng.random((size.ways, *IMAGE))
    arrays: list[NDArray[np.float32] | NDArray[np.int64]] = []
    for each in (size.shots, size.queries):
        y = np.repeat(np.arange(size.ways), each)
        x = centres[y] + NOISE * rng.standard_normal((len(y), *IMAGE))
        arrays += [x.astype(np.float32), y]
    return Episode(*arrays)


def _cases() -> dict[str, MetaCase]:
    images, waves = EpisodeSize(ways=5, shots=1, queries=15), EpisodeSize(shots=10, queries=10)
    networks = {
        "conv4-32": partial(MetaCase, "conv4", meta_batch=8, size=images, width=32),
        "conv4-64": partial(MetaCase, "conv4", meta_batch=8, size=images, width=64),
        "mlp": partial(MetaCase, "mlp", meta_batch=32, size=waves),
    }
    return {
        f"{name}-{algorithm}-{steps}": make(algorithm=algorithm, steps=steps)
        for name, make in networks.items()
        for algorithm in ALGORITHMS
        for steps in STEPS
    }


CASES = _cases()


def plain_loop(case: MetaCase, model: nn.Module) -> Step:
    """Train as one writes it in PyTorch, task by task."""
    tasks = case.tensors(next(model.parameters()).dtype)
    optimizer = case.optimizer(model)
    each = PLAIN_TASK[case.algorithm]

    def step() -> None:
        optimizer.zero_grad()
        for task in tasks:
            each(case, model, *task)
        optimizer.step()
        case.wait()

    return step


def _plain_maml(
    case: MetaCase, model: nn.Module, x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor
) -> None:
    """Add the meta-gradient of a task, of second order or of first."""
    params = {name: p.clone() for name, p in model.named_parameters()}
    for _ in range(case.steps):
        loss = case.loss(functional_call(model, params, (x,)), y)
        params = _descended(case, loss, params, create_graph=case.algorithm == "maml")
    _backward(case, case.loss(functional_call(model, params, (query_x,)), query_y))


def _plain_anil(
    case: MetaCase, model: nn.Module, x: Tensor, y: Tensor, query_x: Tensor, query_y: Tensor
) -> None:
    """Add the meta-gradient of a task of which only the head adapts; the features come once."""
    assert isinstance(model, Conv4 | MLP)  # noqa: S101
    features = model.features(torch.cat([x, query_x]))
    support, query = features[: len(x)], features[len(x) :]
    params = {name: p.clone() for name, p in model.head.named_parameters()}
    for _ in range(case.steps):
        loss = case.loss(functional_call(model.head, params, (support,)), y)
        params = _descended(case, loss, params, create_graph=True)
    _backward(case, case.loss(functional_call(model.head, params, (query,)), query_y))


def _plain_reptile(case: MetaCase, model: nn.Module, x: Tensor, y: Tensor, *_: Tensor) -> None:
    """Add how far the training of a copy on one task leads away."""
    learner = deepcopy(model)
    inner = torch.optim.SGD(learner.parameters(), lr=case.inner_lr)
    for _step in range(case.steps):
        inner.zero_grad()
        case.loss(learner(x), y).backward()  # type: ignore[no-untyped-call]
        inner.step()
    with torch.no_grad():
        for p, adapted in zip(model.parameters(), learner.parameters(), strict=True):
            moved = (p - adapted) / case.meta_batch
            p.grad = moved if p.grad is None else p.grad + moved


PLAIN_TASK: dict[Algorithm, Callable[..., None]] = {
    "maml": _plain_maml,
    "fomaml": _plain_maml,
    "anil": _plain_anil,
    "reptile": _plain_reptile,
}


def _descended(
    case: MetaCase, loss: Tensor, params: dict[str, Tensor], *, create_graph: bool
) -> dict[str, Tensor]:
    grads = torch.autograd.grad(loss, tuple(params.values()), create_graph=create_graph)
    return {n: p - case.inner_lr * g for (n, p), g in zip(params.items(), grads, strict=True)}


def _backward(case: MetaCase, loss: Tensor) -> None:
    (loss / case.meta_batch).backward()  # type: ignore[no-untyped-call]


def engine_of(
    case: MetaCase, threads: int, model: nn.Module | None = None
) -> tuple[Engine, Tasks, Ask]:
    """Return edgemeta's engine for a case, the tasks of its batch, and what a step asks for."""
    reptile = case.algorithm == "reptile"
    adapted = HEAD if case.algorithm == "anil" else ("*",)
    objective: Literal["query", "displacement"] = "displacement" if reptile else "query"
    loop = InnerLoop(case.model() if model is None else model, case.loss, adapted)
    engine = Engine(loop, case.inner_lr, objective, threads=threads)
    tasks = stack_episodes(case.tasks()).to(torch.device(case.device))
    if reptile:  # where the engine trains on the queries too
        tasks = tasks._replace(query_x=tasks.query_x[:, :0], query_y=tasks.query_y[:, :0])
    return engine, tasks, Ask(case.steps, 1 if case.algorithm == "fomaml" or reptile else 2)


def edgemeta_contestant(case: MetaCase, model: nn.Module) -> Step:
    """Train with edgemeta's engine, as `edgemeta train` does a training of some length."""
    threads = torch.get_num_threads() if case.device == "cpu" else 0
    engine, tasks, ask = engine_of(case, threads, model)
    fastest(engine, plans("auto", case.meta_batch, threads), tasks, ask)
    recorded(engine, tasks, ask)
    optimizer = case.optimizer(model)

    def step() -> None:
        optimizer.zero_grad()
        engine.accumulate(tasks, ask, 1 / case.meta_batch)
        optimizer.step()
        case.wait()

    return step


class MetaPeer(PeerProcess):
    """A peer that trains a case; its result are the meta-gradients. See `PeerProcess`."""

    def __init__(self, name: str, python: str, case: MetaCase, threads: int) -> None:
        self.case = case
        params = {f"p:{n}": p.detach().numpy() for n, p in case.model().named_parameters()}
        fields = zip(Episode._fields, zip(*case.tasks(), strict=True), strict=True)
        tasks = {field: np.stack(arrays) for field, arrays in fields}
        super().__init__(
            name,
            python,
            threads,
            tasks | params,
            case=case.network,
            algorithm=case.algorithm,
            steps=case.steps,
            lr=case.inner_lr,
            meta_lr=META_LR,
        )


def meta_gradient(
    make: Make, case: MetaCase, dtype: torch.dtype = torch.float32
) -> dict[str, NDArray[Any]]:
    """Return the meta-gradient of a contestant at the initial weights, by parameter.

    Raises:
        ValueError: there is none for a parameter.
    """
    model = case.model().to(dtype)
    make(case, model)()
    found = {}
    for name, p in model.named_parameters():
        if p.grad is None:
            raise ValueError(f"no meta-gradient for {name}")
        found[name] = p.grad.cpu().numpy()
    return found
