"""What a training run is told: one flat record, the same in config.toml and on the command line."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w

from edgemeta.data.options import UNITS, DataOptions, Unit
from edgemeta.errors import InputError, did_you_mean
from edgemeta.meta.augment.table import NAMES
from edgemeta.meta.inner.norms import NORM_STATISTICS, NormStatistics
from edgemeta.meta.inner.rates import RATES, LearnedRates
from edgemeta.meta.inner.updates import Update
from edgemeta.meta.models.bodies import READY, is_body
from edgemeta.meta.models.foreign import is_foreign, unknown
from edgemeta.meta.models.neck import NECKS, Neck
from edgemeta.meta.models.networks import MODELS
from edgemeta.meta.models.parts import HEADS, NORMS, POOLS, Head, Norm, Pool
from edgemeta.meta.runs.algorithms import (
    HEAD,
    INNER_UPDATES,
    OBJECTIVES,
    OPTIMIZERS,
    ORDERS,
    PRESETS,
    SCHEDULES,
    STRATEGIES,
    InnerUpdate,
    Objective,
    Optimizer,
    Order,
    Schedule,
    Strategy,
)
from edgemeta.tasks.fixed_labels import LABELS, Labels
from edgemeta.tasks.more_classes import MORE_CLASSES
from edgemeta.util.choices import NONE, check_choices
from edgemeta.util.cores import usable_cores
from edgemeta.util.dataclass_fields import as_fields
from edgemeta.util.files import write_atomically
from edgemeta.util.strict_json import MAX_INTEGER

ALGORITHMS = tuple(PRESETS)
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")
Recipe = Literal["auto", "none"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
Cache = Literal["auto", "off"]
CACHES: tuple[Cache, ...] = get_args(Cache)


AS_IT_IS = DataOptions()
_MAY_BE_ZERO = (
    *("seed", "split_seed", "test_episodes", "inner_steps", "patience", "threads", "chunk", "ways"),
)
# One step from a head of zeros behind a cosine neck is the nearest class mean.
WITH_BODY: dict[str, Any] = {
    "adapt": HEAD,
    "head": "shared",
    "neck": "cosine",
    "inner_steps": 1,
    "inner_lr": 1.0,
}
_SHARES = ("first_order_share", "multi_step_share", "distill", "partial_share")


@dataclass(frozen=True)
class TrainConfig:
    """One meta-training run.

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

    @classmethod
    def of(cls, **options: Any) -> TrainConfig:
        """Make a config from the choices of `algorithm`'s preset and options that replace them.

        With a `body`, the choices are `WITH_BODY` unless the preset or an option replaces them.

        Raises:
            InputError: an option is out of range, or no algorithm has that name.
        """
        algorithm = options.get("algorithm", "maml")
        if algorithm not in PRESETS:
            raise InputError(
                "unknown algorithm", got=repr(algorithm), expected=" or ".join(ALGORITHMS)
            )
        start = WITH_BODY if options.get("body") else {}
        labels = options.get("labels", "shuffled")
        if labels != "shuffled":
            start = start | {"ways": 0}
        if labels == "fixed":
            start = start | {"head": "linear"}
        return cls(**start | PRESETS[algorithm] | options)

    def __post_init__(self) -> None:
        for name, allowed in (
            ("recipe", RECIPES),
            ("algorithm", ALGORITHMS),
            ("order", ORDERS),
            ("rates", RATES),
            ("update", INNER_UPDATES),
            ("objective", OBJECTIVES),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("strategy", STRATEGIES),
            ("pool", POOLS),
            ("norm", NORMS),
            ("neck", NECKS),
            ("norm_statistics", NORM_STATISTICS),
            ("cache", CACHES),
            ("head", HEADS),
            ("device", DEVICES),
            ("by", UNITS),
            ("labels", LABELS),
        ):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"unknown {name}", got=repr(getattr(self, name)), expected=" or ".join(allowed)
                )
        if self.model not in MODELS and not is_foreign(self.model):
            raise unknown(self.model)
        if not self.hidden or min(self.hidden) < 1:
            raise InputError("hidden is no list of layer widths", got=self.hidden)
        check_choices("augment", self.augment, NAMES)
        check_choices("more_classes", self.more_classes, MORE_CLASSES)
        for name, patterns in (("adapt", self.adapt), ("trained", self.trained)):
            if not all(patterns) or (name == "adapt" and not patterns):
                raise InputError(f"{name} is no list of patterns", got=patterns)
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if field.type == "int" and value < least:
                raise InputError(f"{field.name} is too small", got=value, expected=f">= {least}")
            if field.type == "int" and value > MAX_INTEGER:  # the bundle's manifest has it
                raise InputError(
                    f"{field.name} is too large", got=value, expected=f"at most {MAX_INTEGER}"
                )
            if field.name in _SHARES:
                if not 0 <= value <= 1:
                    raise InputError(f"{field.name} is no share", got=value, expected="0..1")
            elif field.name == "weight_decay":
                if not 0 <= value < float("inf"):
                    raise InputError("weight_decay must be finite, not negative", got=value)
            elif (
                field.type == "float" and field.name != "momentum" and not 0 < value < float("inf")
            ):
                raise InputError(f"{field.name} must be positive and finite", got=value)
        self.inner_update()  # checks the momentum
        self._check_together()

    def _check_together(self) -> None:
        """Refuse choices that contradict each other."""
        if self.body and self.model != "conv4":
            raise InputError(
                "a body takes the place of a model", got=f"--body {self.body} --model {self.model}"
            )
        if self.neck != "none" and is_foreign(self.model):
            raise InputError(
                "a neck stands behind a body, or in a network of edgemeta's",
                got=f"--neck {self.neck} --model {self.model}",
                hint="put a CenteredCosine into your network",
            )
        if self.labels == "fixed" and self.head != "linear":
            raise InputError(
                "labels that keep their meaning need a head with a row for each",
                got=f"--head {self.head}",
                hint="use --head linear, or --labels shuffled",
            )
        if self.labels == "shuffled" and not self.ways:
            raise InputError("ways is too small", got=0, expected=">= 1")
        learned = self.rates != "fixed" or self.multi_step_share > 0
        if learned and self.objective != "query":
            raise InputError(
                "learned rates and a multi-step loss need the query loss",
                got=f'objective "{self.objective}"',
                hint="use --objective query, or --rates fixed and --multi-step-share 0",
            )
        self._check_teacher()
        pretrained = self.objective == "classes" or bool(self.start)
        if self.norm == "batch" and self.scales and self.model != "mlp" and not pretrained:
            raise InputError(
                "batch norms learn their statistics in pre-training, and there is none",
                got=f"--norm batch --objective {self.objective}",
                hint="--start from a run of --algorithm pretrain, or use --norm group",
            )
        if self.rates != "fixed" and self.inner_steps == 0:
            raise InputError("learned rates need inner steps", got=0, expected="at least 1")

    def _check_teacher(self) -> None:
        """Refuse a teacher that does not know what the objective asks of it."""
        if not self.teacher:
            return
        if is_body(self.teacher) and self.objective != "classes":
            raise InputError(
                "a body as teacher needs the loss of pre-training",
                got=f'objective "{self.objective}", teacher {self.teacher}',
                hint="pre-train with it, and --start from that run; the directory of a run that is "
                f"called so is ./{self.teacher}",
            )
        if not is_body(self.teacher) and self.objective != "query":
            raise InputError(
                "a run as teacher needs the query loss",
                got=f'objective "{self.objective}", teacher {self.teacher}',
                expected=f"objective query, or for pre-training a body: {', '.join(READY)}, or an "
                ".onnx file",
                hint=did_you_mean(self.teacher, READY),
            )

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

    def write(self, path: Path) -> None:
        """Write the record as TOML."""
        write_atomically(path, tomli_w.dumps(self.record()).encode())

    def record(self) -> dict[str, Any]:
        """Return the record as plain values; options of `data` that are not set are left out."""
        return asdict(self) | {"data": self.data.given()}


def read_toml(path: Path) -> dict[str, Any]:
    """Read a config file, checked against the fields of `TrainConfig`.

    Returns:
        The options that the file sets.

    Raises:
        InputError: it cannot be read, is not TOML, or sets an unknown option or a wrong type.
    """
    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}", got=error.strerror) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML", got=str(error)) from error
    return as_fields(record, str(path), TrainConfig)


def read_config(path: Path) -> TrainConfig:
    """Read a whole `config.toml` of a run.

    Raises:
        InputError: as `read_toml`, and where the task source is not named.
    """
    record = read_toml(path)
    if "tasks" not in record:
        raise InputError(f"{path} names no tasks")
    return TrainConfig.of(**record)
