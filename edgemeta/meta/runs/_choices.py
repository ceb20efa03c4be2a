"""What a training is told, as fields."""

from __future__ import annotations

from dataclasses import dataclass

from edgemeta.data.options import AS_IT_IS, DataOptions, Unit
from edgemeta.meta.inner.norms import NormStatistics
from edgemeta.meta.inner.rates import LearnedRates
from edgemeta.meta.inner.updates import Update
from edgemeta.meta.models.neck import Neck
from edgemeta.meta.models.networks import MODELS
from edgemeta.meta.models.parts import Head, Norm, Pool
from edgemeta.meta.runs.algorithms import (
    Cache,
    InnerUpdate,
    Objective,
    Optimizer,
    Order,
    Recipe,
    Schedule,
    Strategy,
)
from edgemeta.tasks.fixed_labels import Labels
from edgemeta.util.choices import NONE
from edgemeta.util.cores import usable_cores


@dataclass(frozen=True)
class Choices:
    """One meta-training run, unchecked; see `TrainConfig`.

    Attributes:
        tasks: a task source, as `edgemeta.tasks.open_tasks` spells it.
        recipe: "auto" where `edgemeta.meta.recipe` made the choices below, on validation tasks.
        minutes: that the recipe had, about.
        root: where its data lie; "" for embedded sources.
        by: what is new at test time: "class", "subject" or "both".
        split_seed: decides which classes or people are held out, where the data leaves it open.
        data: how a user's own data is read.
        augment: how training samples, support and query alike, are changed: ("none",), ("auto",),
            or names; see `edgemeta.meta.augment`. Validation and test see them as they are.
        more_classes: what training shows as classes of their own: ("none",), ("auto",), or names;
            see `edgemeta.tasks.more_classes`.
        labels: "shuffled" anew in each task; "fixed", where everybody shows the same classes and
            people are new: label k is always the same class, and the head's rows are learned;
            "auto", fixed where that is so, until the training begins and settles it.
        partial_share: with fixed labels, of the outer steps whose support sets lack some classes,
            so that a device does not forget what it is not shown.
        algorithm: name of the preset that the choices started from; `of` applies it.
        adapt: what the inner step updates, as patterns over parameter names; see `InnerLoop`.
        order: of the meta-gradient: "second" (MAML) or "first" (FOMAML).
        first_order_share: of the outer steps that are of first order before `order` counts
            (derivative-order annealing).
        rates: the inner rates: "fixed", or learned, starting from inner_lr, per "tensor", per
            tensor and "step" (LSLR), per "weight" (Meta-SGD), per step and weight.
        update: the inner update, "sgd" or "adam".
        momentum: of the inner sgd.
        objective: "query" loss after adapting; "displacement" towards the adapted weights (Reptile:
            support and query samples all adapt); "classes", all training classes at once.
        multi_step_share: of the outer steps in which the query losses after the earlier inner
            steps count as well, less and less (multi-step loss).
        start: directory of a run whose best weights are the first; "" for fresh ones. A head of
            another width stays fresh.
        teacher: directory of a run whose adapted predictions are to be learned too; with the
            objective "classes" a frozen body, spelt like `body`, as which the model learns to place
            samples; "" for none.
        distill: the teacher's share of the outer loss.
        trained: what meta-training moves, as patterns like `adapt`'s; () for all parameters that
            require a gradient. What adapts on the device need not be trained, nor the reverse.
        model: one of `MODELS`, or "package.module:function", which is called with the shape of a
            sample and the ways; "<Class>" where it was an object of Python.
        body: a pre-trained body in place of `model`: a name of `meta.models.bodies.READY`, or the
            path of an .onnx file; "" for none.
        neck: in front of the head, but of foreign models: see `edgemeta.meta.models.neck.NECKS`.
        norm_statistics: of batch norms: "as is" (running statistics for those in eval mode, the
            support set's for those in training mode), "running" or "support" for all.
        width: conv4, ds-cnn: filters per convolution.
        pool: conv4: "max" or "stride".
        norm: conv4, ds-cnn: "support", "group" and "batch" are inductive, and "batch" keeps the
            running statistics of pre-training; "transductive" is for comparison.
        hidden: mlp: width of each hidden layer.
        head: "linear" for tasks of up to `ways` classes, "shared" for tasks of any number.
        ways: classes per task; 0, with labels that are not shuffled, for all until the training
            begins.
        shots: support samples per class (regression: in all).
        queries: query samples per class (regression: in all) in the outer loss.
        inner_steps: inner steps per task.
        inner_lr: inner learning rate, on the mean support loss.
        meta_lr: the outer learning rate at the start.
        optimizer: the outer one: "adam", "adamw" or "sgd".
        weight_decay: of the outer optimizer.
        schedule: how meta_lr falls to zero: along half a "cosine", "linear", or not ("constant").
        meta_batch: tasks per outer step.
        iterations: outer steps.
        validate_every: outer steps between validations; each also writes a checkpoint.
        patience: validations without a better one after which training stops; 0 for never.
        validation_episodes: tasks per validation.
        test_episodes: tasks on which the best checkpoint is evaluated at the end; 0 for none.
        evaluation_queries: query samples per class (regression: in all) in validation and test.
        seed: of the weights and the episodes. Which classes are held out does not depend on it, but
            on `split_seed`, so that an evaluation never meets a class of the training.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of one process; 0 for all cores.
        strategy: how a batch of tasks is computed: "loop", one after the other; "workers", one in
            each thread; "vmap", several at once; "auto", what a short measurement finds fastest,
            as a record that runs without Python (`meta.outer._recorded_step`, `_cuda_graph`).
        chunk: vmap: tasks at once; 0 for all of them, shared among the threads.
        checkpointing: keep no activations of inner steps, compute them twice: less memory.
        cache: "auto" computes what no trained tensor reaches once per sample and keeps it in a
            file, see `edgemeta.meta.models.features`; "off" computes it in each outer step.
        precision: "float32"; on CUDA also "tf32" for products, or "bf16" for the forward.
    """

    tasks: str
    recipe: Recipe = "none"
    minutes: float = 30.0
    root: str = ""
    by: Unit = "class"
    split_seed: int = 0
    data: DataOptions = AS_IT_IS
    augment: tuple[str, ...] = (NONE,)
    more_classes: tuple[str, ...] = (NONE,)
    labels: Labels = "shuffled"
    partial_share: float = 0.5
    algorithm: str = "maml"
    adapt: tuple[str, ...] = ("*",)
    order: Order = "second"
    first_order_share: float = 0.0
    rates: LearnedRates = "fixed"
    update: InnerUpdate = "sgd"
    momentum: float = 0.0
    objective: Objective = "query"
    multi_step_share: float = 0.0
    start: str = ""
    teacher: str = ""
    distill: float = 0.5
    trained: tuple[str, ...] = ()
    model: str = "conv4"
    body: str = ""
    neck: Neck = "none"
    width: int = 64
    pool: Pool = "max"
    norm: Norm = "group"
    norm_statistics: NormStatistics = "as is"
    hidden: tuple[int, ...] = (40, 40)
    head: Head = "linear"
    ways: int = 5
    shots: int = 1
    queries: int = 5
    inner_steps: int = 1
    inner_lr: float = 0.4
    meta_lr: float = 1e-3
    optimizer: Optimizer = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = "cosine"
    meta_batch: int = 8
    iterations: int = 5000
    validate_every: int = 250
    patience: int = 0
    validation_episodes: int = 100
    test_episodes: int = 600
    evaluation_queries: int = 15
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    strategy: Strategy = "auto"
    chunk: int = 0
    checkpointing: bool = False
    cache: Cache = "auto"
    precision: str = "float32"

    @property
    def cores(self) -> int:
        """CPU threads to use."""
        return self.threads or usable_cores()

    def inner_update(self) -> Update:
        """Return how one inner step moves the parameters."""
        return Update(self.update, momentum=self.momentum)

    @property
    def scales(self) -> bool:
        """Whether the model is one of ours, which is told how to scale samples."""
        return self.model in MODELS and not self.body

    @property
    def pretrains_norms(self) -> bool:
        """Whether pre-training collects the running statistics of batch norms."""
        return self.norm == "batch" and self.scales and self.objective == "classes"

    @property
    def inductive(self) -> bool:
        """Whether one query is predicted without knowing the others."""
        return self.norm != "transductive" or self.model == "mlp" or bool(self.body)
