"""The options of `edgemeta train` that are fields of a `TrainConfig`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from edgemeta.cli._options import listed
from edgemeta.data.options import UNITS
from edgemeta.meta.augment.table import NAMES
from edgemeta.meta.inner.norms import NORM_STATISTICS
from edgemeta.meta.inner.rates import RATES
from edgemeta.meta.models.neck import NECKS
from edgemeta.meta.models.networks import MODELS
from edgemeta.meta.models.parts import HEADS, NORMS, POOLS
from edgemeta.meta.runs.algorithms import (
    ALGORITHMS,
    CACHES,
    INNER_UPDATES,
    OBJECTIVES,
    OPTIMIZERS,
    ORDERS,
    PRESETS,
    RECIPES,
    SCHEDULES,
    STRATEGIES,
)
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import DEVICES, PRECISIONS
from edgemeta.tasks.fixed_labels import LABELS

F = TypeVar("F", bound=Callable[..., Any])

DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}
FLAGS = {name for name, default in DEFAULTS.items() if isinstance(default, bool)}


class ModelName(click.types.StringParamType):
    """A model's name, or where the function lies that makes one."""

    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the known names."""
        return [CompletionItem(name) for name in MODELS if name.startswith(incomplete)]


def _option(name: str, help: str, **settings: Any) -> Callable[[F], F]:
    """Return a click option for a field of `TrainConfig`; not given, the config decides."""
    flag = "--" + name.replace("_", "-")
    default = DEFAULTS[name]
    settings.setdefault("type", type(default))
    if name in FLAGS:
        settings = {"is_flag": True}
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    note = "" if name in FLAGS or shown == "" else f" [default: {shown}{_by_presets(name)}]"
    return click.option(flag, name, default=None, help=help + note, **settings)


def _by_presets(name: str) -> str:
    """Say which algorithms have another default."""
    others = [f"{a}: {_shown(p[name])}" for a, p in PRESETS.items() if name in p]
    return "; " + ", ".join(others) if others else ""


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


def _widths(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    """Parse "40,40"."""
    try:
        return None if value is None else tuple(int(width) for width in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of widths such as 40,40") from error


OPTIONS = (
    _option(
        "recipe",
        "auto: pre-trains, meta-trains, and chooses on validation tasks what adapts; none: trains "
        "once, by the options. By default auto, or none where an option is given that auto "
        "chooses.",
        type=click.Choice(RECIPES),
    ),
    _option("minutes", "recipe auto: about how long to train.", type=click.FloatRange(min=0.1)),
    _option("root", "The place of the data, for TASKS given by name."),
    _option("by", "Your own data: what is new at test time.", type=click.Choice(UNITS)),
    _option("split_seed", "Your own data: decides the parts that the data does not name."),
    _option(
        "augment",
        "How training samples are changed: auto (what suits the kind of data), none, or some of "
        f"{', '.join(NAMES)}.",
        type=str,
        callback=listed,
        metavar="NAME,...",
    ),
    _option(
        "more_classes",
        "Training shows each class also changed, as one of its own: auto, none, turns (of images, "
        "by quarters), reverse (of recordings and series).",
        type=str,
        callback=listed,
        metavar="NAME,...",
    ),
    _option(
        "labels",
        "fixed: a label means the same in all tasks, for people who are new (--by subject); auto: "
        "fixed where everybody shows the same classes; shuffled: each task numbers its classes "
        "anew.",
        type=click.Choice(LABELS),
    ),
    _option(
        "partial_share",
        "With fixed labels: share of the outer steps whose support sets lack some classes.",
    ),
    _option(
        "algorithm",
        "A name for some of the choices below; each can be overridden.",
        type=click.Choice(ALGORITHMS),
    ),
    _option(
        "adapt",
        "What the inner step updates: a pattern over parameter names, '!PATTERN' takes away. May "
        "be repeated.",
        type=str,
        multiple=True,
        metavar="PATTERN",
    ),
    _option("order", "Of the meta-gradient.", type=click.Choice(ORDERS)),
    _option(
        "first_order_share",
        "Share of the outer steps, from the first on, that are first order in any case.",
    ),
    _option(
        "rates", "Inner rates, fixed or learned per tensor, step, weight.", type=click.Choice(RATES)
    ),
    _option("update", "The inner update.", type=click.Choice(INNER_UPDATES)),
    _option("momentum", "Of the inner sgd."),
    _option(
        "objective",
        "query: the loss after adapting; displacement: Reptile; classes: supervised pre-training.",
        type=click.Choice(OBJECTIVES),
    ),
    _option(
        "multi_step_share",
        "Share of the outer steps, from the first on, in which losses of all inner steps count.",
    ),
    _option(
        "start", "A run to take the first weights from, such as a pre-training.", metavar="RUN"
    ),
    _option(
        "teacher",
        "A run whose adapted predictions are also learned. For pre-training a frozen body (speech, "
        "image, or an .onnx file): the model also learns to place samples as it does.",
        metavar="RUN|BODY",
    ),
    _option("distill", "The teacher's share of the outer loss."),
    _option(
        "trained",
        "What meta-training moves, whatever adapts: a pattern like --adapt's. May be repeated. "
        "[default: all that requires a gradient]",
        type=str,
        multiple=True,
        metavar="PATTERN",
    ),
    _option(
        "model",
        f"The network: {', '.join(MODELS)}, or package.module:function, which is called with the "
        "input's shape and the ways and returns a torch.nn.Module.",
        type=ModelName(),
    ),
    _option(
        "body",
        "A pre-trained, frozen body instead of a model: speech, image, or an .onnx file. By "
        "default only the shared head adapts, in one step, after --neck cosine.",
        metavar="NAME|FILE",
    ),
    _option(
        "neck",
        "In front of the head: cosine (features centred, brought to one length), matrix (times a "
        "matrix that is trained, too) or none. [default with --body: cosine]",
        type=click.Choice(NECKS),
    ),
    _option("width", "conv4, ds-cnn: filters per convolution."),
    _option("pool", "conv4: how a block halves the image.", type=click.Choice(POOLS)),
    _option(
        "norm",
        "conv4, ds-cnn: group, batch (statistics of pre-training) and support (those of the "
        "support set) predict one sample at a time; transductive, for comparison, needs all "
        "queries at once.",
        type=click.Choice(NORMS),
    ),
    _option(
        "norm_statistics",
        "Of batch norms, when adapting: those of their training (running), or of the support set; "
        "as is: by the mode that the network is made in.",
        type=click.Choice(NORM_STATISTICS),
    ),
    _option("hidden", "mlp: layer widths.", type=str, callback=_widths),
    _option(
        "head",
        "linear: tasks of up to --ways classes; shared: of any number.",
        type=click.Choice(HEADS),
    ),
    _option("ways", "Classes per task."),
    _option("shots", "Support samples per class."),
    _option("queries", "Query samples per class in the outer loss."),
    _option("inner_steps", "Inner steps per task."),
    _option("inner_lr", "Inner learning rate, on the mean support loss."),
    _option("meta_lr", "Outer learning rate at the start."),
    _option("optimizer", "The outer one.", type=click.Choice(OPTIMIZERS)),
    _option("weight_decay", "Of the outer optimizer."),
    _option("schedule", "How the outer learning rate falls.", type=click.Choice(SCHEDULES)),
    _option("meta_batch", "Tasks per outer step."),
    _option("iterations", "Outer steps."),
    _option("validate_every", "Outer steps between validations."),
    _option("patience", "Stop after this many validations without improvement; 0: never."),
    _option("validation_episodes", "Tasks per validation."),
    _option("test_episodes", "Tasks of the final test of the best checkpoint."),
    _option("evaluation_queries", "Query samples per class in validation and test."),
    _option("seed", "Of weights and episodes."),
    _option("device", "Where to train.", type=click.Choice(DEVICES)),
    _option("threads", "CPU threads; 0: all cores."),
    _option(
        "strategy",
        "How a batch is computed: loop, workers (a thread per task), vmap (tasks at once), or "
        "auto: a short measurement finds the fastest.",
        type=click.Choice(STRATEGIES),
    ),
    _option("chunk", "vmap: tasks at once; 0: all of them."),
    _option("checkpointing", "Less memory: compute the inner steps twice, keep none."),
    _option(
        "cache",
        "Compute the outputs of the frozen first layers once per sample, and keep them in "
        "$EDGEMETA_CACHE or ~/.cache/edgemeta/features.",
        type=click.Choice(CACHES),
    ),
    _option("precision", "tf32 and bf16 are for CUDA.", type=click.Choice(PRECISIONS)),
)


def train_options(command: F) -> F:
    """Add the options to a command, in the order in which its help lists them."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
