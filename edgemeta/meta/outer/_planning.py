"""How a training computes its batches: the fastest way that fits into memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from edgemeta.errors import EdgemetaError
from edgemeta.meta.inner.objective import Ask, Tasks
from edgemeta.meta.outer._engine import Engine, Plan, plans
from edgemeta.meta.outer._memory import fitting
from edgemeta.meta.runs.algorithms import multi_step_weights
from edgemeta.meta.runs.config import TrainConfig

WORTH_MEASURING = 5000  # tasks; a shorter training gains nothing from a choice, nor a recording
CLEARLY_FASTER = 1.2
"""A later strategy must win by this to be chosen: two that are close must not take turns from run
to run, as their results differ in the last bits."""
MEASURING_SECONDS = 1.0  # for each strategy, after one warm-up


def ask_of(config: TrainConfig, iteration: int) -> Ask:
    """Return what an outer step of a training asks for."""
    first_order = iteration < config.first_order_share * config.iterations
    annealing = round(config.multi_step_share * config.iterations)
    return Ask(
        steps=config.inner_steps,
        order=1 if first_order or config.order == "first" else 2,
        weights=multi_step_weights(iteration, config.inner_steps, annealing)
        if iteration < annealing and config.inner_steps
        else (),
        distill=config.distill if config.teacher else 0.0,
        checkpointing=config.checkpointing,
    )


def preferred(config: TrainConfig, tasks: int, threads: int) -> tuple[Plan, ...]:
    """Return the plans that a config allows for a batch, in order of preference; see `plans`."""
    return plans(config.strategy, max(tasks, 1), threads, config.chunk)


def choose_plan(
    engine: Engine, config: TrainConfig, tasks: Tasks, light: bool = False
) -> tuple[Plan, int]:
    """Let an engine use the plan that is best here, by measurement if that is worth the time.

    Args:
        engine: uses the plan from then on.
        config: of the training.
        tasks: a batch of it.
        light: whether a task is a few small products, so that Python takes most of the time: then
            all tasks at once, recorded, are the fastest, and that is worth no measuring.

    Returns:
        The plan, and the bytes that an outer step needs with it.

    Raises:
        InputError: no plan that the config allows fits into memory.
    """
    light = light and config.strategy == "auto"
    count = len(tasks.support_x)
    if light:
        candidates = plans("vmap", count, 1, config.chunk)
    else:
        candidates = preferred(config, count, engine.threads)
    # The last step is of second order; the first ones may count the losses of all inner steps.
    turns = (0, math.ceil(config.first_order_share * config.iterations), config.iterations)
    fits = fitting(engine, tasks, [ask_of(config, turn) for turn in turns], candidates)
    short = config.iterations * config.meta_batch < WORTH_MEASURING
    needs = dict([next(fits)] if short else fits)
    plan = next(iter(needs))
    if len(needs) > 1:
        plan = fastest(engine, tuple(needs), tasks, ask_of(config, config.iterations))
    need = needs[plan]
    engine.use(plan)
    if light or (config.strategy == "auto" and not short):
        plan = recorded(engine, tasks, ask_of(config, config.iterations))
    return plan, need


def fastest(engine: Engine, candidates: Sequence[Plan], tasks: Tasks, ask: Ask) -> Plan:
    """Let an engine compute a batch by each of several plans, and keep to the fastest.

    Args:
        engine: gradients of its leaves are dropped.
        candidates: in order of preference; see `CLEARLY_FASTER`.
        tasks: a batch.
        ask: the most that a step of the training asks for.
    """
    best: tuple[float, Plan] | None = None
    for plan in candidates:
        engine.use(plan)
        seconds = _seconds(engine, tasks, ask)
        if best is None or seconds * CLEARLY_FASTER < best[0]:
            best = seconds, plan
    assert best is not None  # noqa: S101 -- there are candidates
    engine.use(best[1])
    return best[1]


def recorded(engine: Engine, tasks: Tasks, ask: Ask) -> Plan:
    """Let an engine use the record of its plan, which gives the same bits in less time.

    Args:
        engine: keeps to its plan where the model cannot be recorded, because it draws at random, or
            this PyTorch lacks what `_recorded_step` builds on. Gradients of its leaves are
            dropped.
        tasks: a batch.
        ask: what a step asks for.

    Returns:
        The plan that the engine uses from now on.
    """
    plan = engine.plan
    engine.use(plan._replace(recorded=True))
    try:
        engine.accumulate(tasks, ask, 1.0)
    except (EdgemetaError, ImportError, RuntimeError):
        engine.use(plan)
    engine.drop_gradients()
    return engine.plan


def _seconds(engine: Engine, tasks: Tasks, ask: Ask) -> float:
    engine.accumulate(tasks, ask, 1.0)  # warm-up
    least, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < MEASURING_SECONDS:
        start = time.perf_counter()
        engine.accumulate(tasks, ask, 1.0)
        least = min(least, time.perf_counter() - start)
    engine.drop_gradients()
    return least
