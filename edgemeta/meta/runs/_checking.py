"""What a training may be told: each option for itself, and all of them together."""

from __future__ import annotations

from dataclasses import fields

from edgemeta.data.options import UNITS
from edgemeta.errors import InputError, did_you_mean
from edgemeta.meta.augment.table import NAMES
from edgemeta.meta.inner.norms import NORM_STATISTICS
from edgemeta.meta.inner.rates import RATES
from edgemeta.meta.models.bodies import READY, is_body
from edgemeta.meta.models.foreign import is_foreign, unknown
from edgemeta.meta.models.neck import NECKS
from edgemeta.meta.models.networks import MODELS
from edgemeta.meta.models.parts import HEADS, NORMS, POOLS
from edgemeta.meta.runs._choices import Choices
from edgemeta.meta.runs.algorithms import (
    ALGORITHMS,
    CACHES,
    INNER_UPDATES,
    OBJECTIVES,
    OPTIMIZERS,
    ORDERS,
    RECIPES,
    SCHEDULES,
    STRATEGIES,
)
from edgemeta.meta.runs.devices import DEVICES, PRECISIONS
from edgemeta.tasks.fixed_labels import LABELS
from edgemeta.tasks.more_classes import MORE_CLASSES
from edgemeta.util.choices import check_choices
from edgemeta.util.strict_json import MAX_INTEGER

_MAY_BE_ZERO = (
    *("seed", "split_seed", "test_episodes", "inner_steps", "patience", "threads", "chunk", "ways"),
)
_SHARES = ("first_order_share", "multi_step_share", "distill", "partial_share")


def check_each(config: Choices) -> None:
    """Refuse options that are out of range.

    Raises:
        InputError: one is.
    """
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
        if getattr(config, name) not in allowed:
            raise InputError(
                f"unknown {name}", got=repr(getattr(config, name)), expected=" or ".join(allowed)
            )
    if config.model not in MODELS and not is_foreign(config.model):
        raise unknown(config.model)
    if not config.hidden or min(config.hidden) < 1:
        raise InputError("hidden is no list of layer widths", got=config.hidden)
    check_choices("augment", config.augment, NAMES)
    check_choices("more_classes", config.more_classes, MORE_CLASSES)
    for name, patterns in (("adapt", config.adapt), ("trained", config.trained)):
        if not all(patterns) or (name == "adapt" and not patterns):
            raise InputError(f"{name} is no list of patterns", got=patterns)
    for field in fields(config):
        value = getattr(config, field.name)
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
        elif field.type == "float" and field.name != "momentum" and not 0 < value < float("inf"):
            raise InputError(f"{field.name} must be positive and finite", got=value)
    config.inner_update()  # checks the momentum


def check_together(config: Choices) -> None:
    """Refuse choices that contradict each other.

    Raises:
        InputError: two do.
    """
    if config.body and config.model != "conv4":
        raise InputError(
            "a body takes the place of a model", got=f"--body {config.body} --model {config.model}"
        )
    if config.neck != "none" and is_foreign(config.model):
        raise InputError(
            "a neck stands behind a body, or in a network of edgemeta's",
            got=f"--neck {config.neck} --model {config.model}",
            hint="put a CenteredCosine into your network",
        )
    if config.labels == "fixed" and config.head != "linear":
        raise InputError(
            "labels that keep their meaning need a head with a row for each",
            got=f"--head {config.head}",
            hint="use --head linear, or --labels shuffled",
        )
    if config.labels == "shuffled" and not config.ways:
        raise InputError("ways is too small", got=0, expected=">= 1")
    learned = config.rates != "fixed" or config.multi_step_share > 0
    if learned and config.objective != "query":
        raise InputError(
            "learned rates and a multi-step loss need the query loss",
            got=f'objective "{config.objective}"',
            hint="use --objective query, or --rates fixed and --multi-step-share 0",
        )
    _check_teacher(config)
    pretrained = config.objective == "classes" or bool(config.start)
    if config.norm == "batch" and config.scales and config.model != "mlp" and not pretrained:
        raise InputError(
            "batch norms learn their statistics in pre-training, and there is none",
            got=f"--norm batch --objective {config.objective}",
            hint="--start from a run of --algorithm pretrain, or use --norm group",
        )
    if config.rates != "fixed" and config.inner_steps == 0:
        raise InputError("learned rates need inner steps", got=0, expected="at least 1")


def _check_teacher(config: Choices) -> None:
    """Refuse a teacher that does not know what the objective asks of it."""
    if not config.teacher:
        return
    if is_body(config.teacher) and config.objective != "classes":
        raise InputError(
            "a body as teacher needs the loss of pre-training",
            got=f'objective "{config.objective}", teacher {config.teacher}',
            hint="pre-train with it, and --start from that run; the directory of a run that is "
            f"called so is ./{config.teacher}",
        )
    if not is_body(config.teacher) and config.objective != "query":
        raise InputError(
            "a run as teacher needs the query loss",
            got=f'objective "{config.objective}", teacher {config.teacher}',
            expected=f"objective query, or for pre-training a body: {', '.join(READY)}, or an "
            ".onnx file",
            hint=did_you_mean(config.teacher, READY),
        )
